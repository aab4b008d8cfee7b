"""The registry's first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("reply", postgresql.JSON(astext_type=sa.Text()), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("usd", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lost_usd", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("lost_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("recorded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
        sa.UniqueConstraint("key", name=op.f("uq_calls_key")),
    )
    op.create_index(
        "ix_calls_reserved", "calls", ["worker_id"], unique=False, postgresql_where=sa.text("state = 'reserved'")
    )
    op.create_index(op.f("ix_calls_run_id"), "calls", ["run_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("recipe", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("queries", sa.BigInteger(), nullable=False),
        sa.Column("lost_usd", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("lost_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("key", name=op.f("uq_runs_key")),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("manifest", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("name", "hash", name=op.f("uq_snapshots_name_hash")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_snapshots_name_version")),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
    )
    op.create_table(
        "stage_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("calls", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_attempts")),
    )
    op.create_index("ix_stage_attempts_item", "stage_attempts", ["run_id", "query_id"], unique=False)
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("preset", sa.Text(), nullable=False),
        sa.Column("rows_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("imported", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("identical", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("conflicts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bad", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bad_lines", postgresql.JSON(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_imports_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_imports_fingerprint")),
    )
    op.create_table(
        "queries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("raw_fingerprint", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("messages", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("tools", postgresql.JSON(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("verifier", postgresql.JSON(astext_type=sa.Text()), nullable=True),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_queries_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queries")),
        sa.UniqueConstraint("hash", name=op.f("uq_queries_hash")),
    )
    op.create_index(op.f("ix_queries_source_id"), "queries", ["source_id"], unique=False)
    op.create_table(
        "run_counters",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_counters_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "stage", "state", "reason", name=op.f("pk_run_counters")),
    )
    op.create_table(
        "query_conflicts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], name=op.f("fk_query_conflicts_query_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_query_conflicts_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_query_conflicts")),
        sa.UniqueConstraint("query_id", "source_id", "line", name=op.f("uq_query_conflicts_query_id_source_id_line")),
    )
    op.create_table(
        "work_items",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], name=op.f("fk_work_items_query_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_work_items_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "query_id", name=op.f("pk_work_items")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_work_items_claimable",
        "work_items",
        ["run_id", "available_at", "query_id"],
        unique=False,
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_work_items_leased",
        "work_items",
        ["worker_id"],
        unique=False,
        postgresql_where=sa.text("worker_id IS NOT NULL"),
    )
    op.create_index("ix_work_items_query_id", "work_items", ["query_id"], unique=False)
    op.create_table(
        "candidates",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("thinking", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("tool_calls", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("rounds", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("calls", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_candidates_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", "turn", "position", name=op.f("pk_candidates")),
    )
    op.create_table(
        "samples",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("sample", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("lineage", sa.LargeBinary(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_samples_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_samples")),
        sa.UniqueConstraint("run_id", "query_id", name=op.f("uq_samples_run_id_query_id")),
    )
    op.create_index(op.f("ix_samples_hash"), "samples", ["hash"], unique=False)
    op.create_table(
        "tag_summaries",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("difficulty", sa.Double(), nullable=False),
        sa.Column("spread", sa.SmallInteger(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("verifiable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_tag_summaries_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", name=op.f("pk_tag_summaries")),
    )
    op.create_table(
        "tags",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("difficulty", sa.SmallInteger(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("verifiable", sa.Boolean(), nullable=False),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_tags_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", "position", name=op.f("pk_tags")),
    )
    op.create_table(
        "turns",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("margin", sa.Double(), nullable=True),
        sa.Column("accepted", sa.SmallInteger(), nullable=True),
        sa.Column("judge_analysis", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_turns_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", "turn", name=op.f("pk_turns")),
    )
    op.create_table(
        "verdicts",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("verifier", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reward", sa.Double(), nullable=True),
        sa.Column("evidence", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_verdicts_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", "turn", "position", "number", name=op.f("pk_verdicts")),
    )
    op.create_table(
        "votes",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f("fk_votes_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "query_id", "turn", "position", name=op.f("pk_votes")),
    )
    op.create_table(
        "snapshot_rows",
        sa.Column("snapshot_id", sa.BigInteger(), nullable=False),
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_snapshot_rows_sample_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_snapshot_rows_snapshot_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "sample_id", name=op.f("pk_snapshot_rows")),
    )
    op.create_index(op.f("ix_snapshot_rows_sample_id"), "snapshot_rows", ["sample_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_snapshot_rows_sample_id"), table_name="snapshot_rows")
    op.drop_table("snapshot_rows")
    op.drop_table("votes")
    op.drop_table("verdicts")
    op.drop_table("turns")
    op.drop_table("tags")
    op.drop_table("tag_summaries")
    op.drop_index(op.f("ix_samples_hash"), table_name="samples")
    op.drop_table("samples")
    op.drop_table("candidates")
    op.drop_index("ix_work_items_query_id", table_name="work_items")
    op.drop_index("ix_work_items_leased", table_name="work_items", postgresql_where=sa.text("worker_id IS NOT NULL"))
    op.drop_index("ix_work_items_claimable", table_name="work_items", postgresql_where=sa.text("state = 'ready'"))
    op.drop_table("work_items")
    op.drop_table("query_conflicts")
    op.drop_table("run_counters")
    op.drop_index(op.f("ix_queries_source_id"), table_name="queries")
    op.drop_table("queries")
    op.drop_table("imports")
    op.drop_table("workers")
    op.drop_index("ix_stage_attempts_item", table_name="stage_attempts")
    op.drop_table("stage_attempts")
    op.drop_table("sources")
    op.drop_table("snapshots")
    op.drop_table("runs")
    op.drop_index(op.f("ix_calls_run_id"), table_name="calls")
    op.drop_index("ix_calls_reserved", table_name="calls", postgresql_where=sa.text("state = 'reserved'"))
    op.drop_table("calls")
