"""Further labels of tags, soft labels, and pass rates with their rollouts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TAGGED = ("tags", "tag_summaries")


def upgrade() -> None:
    for table in TAGGED:
        labels = sa.Column("labels", postgresql.JSON(), server_default=sa.text("'{}'"), nullable=False)
        op.add_column(table, labels)
    op.create_table(
        "soft_labels",
        *_item(),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("verifier", postgresql.JSON(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("weighted", sa.Double(), nullable=False),
        *_keys("soft_labels"),
    )
    op.create_table(
        "soft_label_answers",
        *_item(),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=True),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        *_keys("soft_label_answers", "position"),
    )
    op.create_table(
        "pass_rates",
        *_item(),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("prompted", sa.Boolean(), nullable=False),
        sa.Column("temperature", sa.Double(), nullable=False),
        sa.Column("top_p", sa.Double(), nullable=False),
        sa.Column("max_tokens", sa.Integer(), nullable=False),
        sa.Column("soft", sa.Boolean(), nullable=False),
        sa.Column("k", sa.SmallInteger(), nullable=False),
        sa.Column("correct", sa.SmallInteger(), nullable=False),
        sa.Column("incorrect", sa.SmallInteger(), nullable=False),
        sa.Column("undecided", sa.SmallInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *_keys("pass_rates"),
    )
    op.create_index(op.f("ix_pass_rates_query_id"), "pass_rates", ["query_id"], unique=False)
    op.create_table(
        "rollouts",
        *_item(),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", postgresql.JSON(), nullable=False),
        *_keys("rollouts", "position"),
    )


def downgrade() -> None:
    op.drop_table("rollouts")
    op.drop_index(op.f("ix_pass_rates_query_id"), table_name="pass_rates")
    op.drop_table("pass_rates")
    op.drop_table("soft_label_answers")
    op.drop_table("soft_labels")
    for table in TAGGED:
        op.drop_column(table, "labels")


def _item() -> tuple[sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
    )


def _keys(table: str, *further: str) -> tuple[sa.Constraint, sa.Constraint]:
    return (
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f(f"fk_{table}_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", *further, name=op.f(f"pk_{table}")),
    )
