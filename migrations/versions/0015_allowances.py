"""One word on a query and a benchmark: the newest."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        DELETE FROM allowances AS old USING allowances AS newer
        WHERE old.query_id = newer.query_id AND old.benchmark_id IS NOT DISTINCT FROM newer.benchmark_id
          AND old.id < newer.id
    """)
    op.create_unique_constraint(
        op.f("uq_allowances_query_id_benchmark_id"),
        "allowances",
        ["query_id", "benchmark_id"],
        postgresql_nulls_not_distinct=True,
    )
    op.drop_index(op.f("ix_allowances_query_id"), table_name="allowances")


def downgrade() -> None:
    op.create_index(op.f("ix_allowances_query_id"), "allowances", ["query_id"], unique=False)
    op.drop_constraint(op.f("uq_allowances_query_id_benchmark_id"), "allowances", type_="unique")
