"""Fleets: heartbeats of workers, which run each takes part in, who works on a run; claims by stage."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

READY = sa.text("state = 'ready'")


def upgrade() -> None:
    now = sa.text("now()")
    op.add_column("workers", sa.Column("run_id", sa.BigInteger(), nullable=True))
    op.add_column("workers", sa.Column("seen_at", sa.DateTime(timezone=True), server_default=now, nullable=False))
    op.add_column("workers", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_workers_run_id", "workers", ["run_id"], postgresql_where=sa.text("ended_at IS NULL"))
    op.add_column("runs", sa.Column("executor", sa.Text(), server_default=sa.text("'local'"), nullable=False))
    op.drop_index("ix_work_items_claimable", table_name="work_items")
    columns = ["run_id", "stage", "available_at", "query_id"]
    op.create_index("ix_work_items_claimable", "work_items", columns, postgresql_where=READY)


def downgrade() -> None:
    op.drop_index("ix_work_items_claimable", table_name="work_items")
    columns = ["run_id", "available_at", "query_id"]
    op.create_index("ix_work_items_claimable", "work_items", columns, postgresql_where=READY)
    op.drop_column("runs", "executor")
    op.drop_index("ix_workers_run_id", table_name="workers")
    op.drop_column("workers", "ended_at")
    op.drop_column("workers", "seen_at")
    op.drop_column("workers", "run_id")
