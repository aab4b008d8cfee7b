"""The stratum that a sample counts for stands with the sample; an item has the pool in which it waits."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("work_items", "stratum", new_column_name="pool")
    op.add_column("samples", sa.Column("stratum", sa.Text(), nullable=True))
    op.execute("""
        UPDATE samples SET stratum = pool FROM work_items AS item
        WHERE item.run_id = samples.run_id AND item.query_id = samples.query_id AND item.state = 'accepted'
    """)


def downgrade() -> None:
    op.execute("""
        UPDATE work_items AS item SET pool = samples.stratum FROM samples
        WHERE item.run_id = samples.run_id AND item.query_id = samples.query_id AND item.state = 'accepted'
    """)
    op.drop_column("samples", "stratum")
    op.alter_column("work_items", "pool", new_column_name="stratum")
