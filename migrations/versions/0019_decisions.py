"""Decisions of curators, training runs and withdrawals: what follows from samples, and what ends them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _decisions()
    _training()
    _withdrawals()
    op.add_column("imports", sa.Column("withdrawn", sa.BigInteger(), server_default=sa.text("0"), nullable=False))


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.Column("sample_hash", sa.LargeBinary(), nullable=False),
        sa.Column("curator", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("note", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("payload", postgresql.JSON(), nullable=True),
        sa.Column("guideline", sa.Text(), nullable=True),
        sa.Column("dwell", sa.Double(), nullable=True),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_decisions_sample_id")),
        sa.ForeignKeyConstraint(["undoes"], ["decisions.id"], name=op.f("fk_decisions_undoes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("event", "sample_id", name=op.f("uq_decisions_event_sample_id")),
        sa.UniqueConstraint("undoes", name=op.f("uq_decisions_undoes")),
    )
    op.create_index(op.f("ix_decisions_sample_hash_id"), "decisions", ["sample_hash", "id"])


def _training() -> None:
    op.create_table(
        "training_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("trainer", sa.Text(), nullable=False),
        sa.Column("base_model", sa.Text(), nullable=False),
        sa.Column("base_hash", sa.LargeBinary(), nullable=True),
        sa.Column("config", postgresql.JSON(), nullable=False),
        sa.Column("recipe", postgresql.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("metrics", postgresql.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("checkpoint_hash", sa.LargeBinary(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("noted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_runs")),
        sa.UniqueConstraint("hash", name=op.f("uq_training_runs_hash")),
    )
    op.create_index("ix_training_runs_base_hash", "training_runs", ["base_hash"])
    op.create_table(
        "training_inputs",
        sa.Column("training_run_id", sa.BigInteger(), nullable=False),
        sa.Column("snapshot_hash", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_run_id"],
            ["training_runs.id"],
            name=op.f("fk_training_inputs_training_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("training_run_id", "snapshot_hash", name=op.f("pk_training_inputs")),
    )
    op.create_index(op.f("ix_training_inputs_snapshot_hash"), "training_inputs", ["snapshot_hash"])


def _withdrawals() -> None:
    op.create_table(
        "withdrawals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=True),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_withdrawals_source_id")),
        sa.ForeignKeyConstraint(["undoes"], ["withdrawals.id"], name=op.f("fk_withdrawals_undoes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawals")),
        sa.UniqueConstraint("undoes", name=op.f("uq_withdrawals_undoes")),
    )
    op.create_table(
        "withdrawn_queries",
        sa.Column("query_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("withdrawal_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("query_id", "withdrawal_id", name=op.f("pk_withdrawn_queries")),
    )
    op.create_index(op.f("ix_withdrawn_queries_withdrawal_id"), "withdrawn_queries", ["withdrawal_id"])


def downgrade() -> None:
    op.drop_column("imports", "withdrawn")
    for table in ("withdrawn_queries", "withdrawals", "training_inputs", "training_runs", "decisions"):
        op.drop_table(table)
