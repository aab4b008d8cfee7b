"""Why lines of imports are bad, what runs leave out, embeddings and semantic clusters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("imports", sa.Column("bad_codes", postgresql.JSON(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("runs", sa.Column("left_out", postgresql.JSON(), server_default=sa.text("'[]'"), nullable=False))
    op.create_table(
        "embedders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedders")),
        sa.UniqueConstraint("model", "revision", name=op.f("uq_embedders_model_revision")),
    )
    op.create_table(
        "embeddings",
        sa.Column("embedder_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["embedder_id"], ["embedders.id"], name=op.f("fk_embeddings_embedder_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], name=op.f("fk_embeddings_query_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("embedder_id", "query_id", name=op.f("pk_embeddings")),
    )
    op.execute("ALTER TABLE embeddings ALTER COLUMN vector SET STORAGE EXTERNAL")  # nothing in it can be compressed
    op.create_table(
        "semantic_clusters",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("embedder_id", sa.BigInteger(), nullable=False),
        sa.Column("representative_id", sa.BigInteger(), nullable=False),
        sa.Column("similarity", sa.REAL(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_semantic_clusters_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["query_id"], ["queries.id"], name=op.f("fk_semantic_clusters_query_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", name=op.f("pk_semantic_clusters")),
    )


def downgrade() -> None:
    op.drop_table("semantic_clusters")
    op.drop_table("embeddings")
    op.drop_table("embedders")
    op.drop_column("runs", "left_out")
    op.drop_column("imports", "bad_codes")
