"""The kind of error that stopped a run stands beside its words."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("stopped_by", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "stopped_by")
