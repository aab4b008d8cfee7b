"""Clusters of near-duplicates, and the bands that they are found by."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deduplication",
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("checked_through", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("settled_through", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("settled_cluster", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("scheme", name=op.f("pk_deduplication")),
    )
    op.create_table(
        "bands",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_bands_key_query_id"), "bands", ["key", "query_id"], unique=False)
    op.create_table(
        "near_duplicates",
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["first"], ["queries.id"], name=op.f("fk_near_duplicates_first"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["second"], ["queries.id"], name=op.f("fk_near_duplicates_second"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("first", "second", name=op.f("pk_near_duplicates")),
    )
    op.create_index(op.f("ix_near_duplicates_second"), "near_duplicates", ["second"], unique=False)
    op.create_table(
        "clusters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("representative", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["representative"], ["queries.id"], name=op.f("fk_clusters_representative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
    )
    op.create_table(
        "cluster_members",
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("cluster_id", sa.BigInteger(), nullable=False),
        sa.Column("nearest", sa.BigInteger(), nullable=True),
        sa.Column("similarity", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.id"], name=op.f("fk_cluster_members_cluster_id")),
        sa.ForeignKeyConstraint(
            ["query_id"], ["queries.id"], name=op.f("fk_cluster_members_query_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("query_id", name=op.f("pk_cluster_members")),
    )
    op.create_index(op.f("ix_cluster_members_cluster_id"), "cluster_members", ["cluster_id"], unique=False)


def downgrade() -> None:
    for table in ("cluster_members", "clusters", "near_duplicates", "bands", "deduplication"):
        op.drop_table(table)
