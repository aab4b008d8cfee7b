"""Items that wait for a mixture, several samples of one query, and what decides a run beside its recipe."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("context", postgresql.JSON(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("work_items", sa.Column("stratum", sa.Text(), nullable=True))
    op.add_column("work_items", sa.Column("responses", sa.SmallInteger(), server_default=sa.text("1"), nullable=False))
    op.add_column("work_items", sa.Column("rank", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_index(
        "ix_work_items_held",
        "work_items",
        ["run_id", "stage", "stratum", "rank"],
        unique=False,
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_table(
        "further",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("judge_analysis", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_further_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", "turn", "position", name=op.f("pk_further")),
    )
    op.add_column("samples", sa.Column("number", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.alter_column("samples", "mode", existing_type=sa.Text(), nullable=True)
    op.drop_constraint(op.f("uq_samples_run_id_query_id"), "samples", type_="unique")
    op.create_unique_constraint(op.f("uq_samples_run_id_query_id_number"), "samples", ["run_id", "query_id", "number"])


def downgrade() -> None:
    # The older table holds one sample of a query and no pairs, and knows no waiting items.
    op.execute("""
        DELETE FROM snapshot_rows WHERE sample_id IN (SELECT id FROM samples WHERE number > 0 OR mode IS NULL)
    """)
    op.execute("DELETE FROM samples WHERE number > 0 OR mode IS NULL")
    op.alter_column("samples", "mode", existing_type=sa.Text(), nullable=False)
    op.execute("UPDATE work_items SET state = 'ready' WHERE state = 'held'")
    op.drop_constraint(op.f("uq_samples_run_id_query_id_number"), "samples", type_="unique")
    op.create_unique_constraint(op.f("uq_samples_run_id_query_id"), "samples", ["run_id", "query_id"])
    op.drop_column("samples", "number")
    op.drop_table("further")
    op.drop_index("ix_work_items_held", table_name="work_items", postgresql_where=sa.text("state = 'held'"))
    op.drop_column("work_items", "rank")
    op.drop_column("work_items", "responses")
    op.drop_column("work_items", "stratum")
    op.drop_column("runs", "context")
