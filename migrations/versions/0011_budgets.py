"""Slices of budgets: what each worker holds of a run's money, and what it has spent."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# What runs have paid so far. Calls that a kill left behind keep a slice of their worker's, which the next one frees.
CARRY_OVER = """
    INSERT INTO budget_slices (run_id, worker_id, spent_usd, spent_tokens)
    SELECT runs.id, 0, lost_usd + coalesce(usd, 0), lost_tokens + coalesce(tokens, 0)
    FROM runs LEFT JOIN (
        SELECT run_id, sum(usd) AS usd, sum(tokens)::bigint AS tokens FROM calls WHERE state = 'done' GROUP BY run_id
    ) AS paid ON paid.run_id = runs.id
    UNION ALL
    SELECT DISTINCT run_id, worker_id, 0.0, 0 FROM calls JOIN runs ON runs.id = run_id WHERE calls.state = 'reserved'
"""


def upgrade() -> None:
    op.create_table(
        "budget_slices",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("granted_usd", sa.Double(), nullable=True),
        sa.Column("granted_tokens", sa.BigInteger(), nullable=True),
        sa.Column("spent_usd", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("spent_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_budget_slices_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "worker_id", name=op.f("pk_budget_slices")),
        postgresql_with={"fillfactor": "50"},
    )
    op.execute(CARRY_OVER)


def downgrade() -> None:
    op.drop_table("budget_slices")  # ledger and runs hold the same sums
