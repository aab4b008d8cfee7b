"""Accepted samples stand rendered, queries know their document, and jobs tell how far they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("samples", sa.Column("rendered", sa.Text(), nullable=True))
    op.add_column("samples", sa.Column("rendered_as", sa.Text(), nullable=True))
    op.add_column("queries", sa.Column("document", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("progress", postgresql.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "progress")
    op.drop_column("queries", "document")
    op.drop_column("samples", "rendered_as")
    op.drop_column("samples", "rendered")
