"""Why lines of imports are bad, and what runs leave out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("imports", sa.Column("bad_codes", postgresql.JSON(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("runs", sa.Column("left_out", postgresql.JSON(), server_default=sa.text("'[]'"), nullable=False))


def downgrade() -> None:
    op.drop_column("runs", "left_out")
    op.drop_column("imports", "bad_codes")
