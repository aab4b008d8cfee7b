"""The registry's tables. Inside the database rows have identity keys; what leaves it carries content hashes.

sources ─< imports                what was read, and how far
sources ─< queries ─< query_conflicts
           queries ─< contamination >─ benchmark_items >─ benchmarks
           queries ─< allowances     hits that a person overruled
           queries ─< embeddings >─ embedders
           queries ─< near_duplicates, cluster_members >─ clusters
           queries ─< bands          by which near-duplicates are found; deduplication says how far
runs ─< work_items                the queue: one row per (run, query)
        ├─< semantic_clusters     what means nearly the same, before the first item is worked on
        ├─< stage_attempts        append-only history, with the ledger keys of each attempt
        ├─< tags, tag_summaries   once per query
        ├─< soft_labels, soft_label_answers
        ├─< pass_rates, rollouts  of one policy revision
        ├─< intents               directives that the run added to a query
        └─< turns ─< votes, mode_measurements, candidates ─< verdicts, scores, further
runs ─< samples ─< snapshot_rows >─ snapshots
calls                             the ledger, shared by all runs
"""

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> "Column[Any]":
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _ref(name: str, target: str, *, primary_key: bool = False, nullable: bool = False) -> "Column[Any]":
    key = ForeignKey(target, ondelete="CASCADE" if primary_key else None)
    return Column(name, BigInteger, key, primary_key=primary_key, nullable=nullable)


def _need(name: str, kind: "TypeEngine[Any] | type[TypeEngine[Any]]", default: str | None = None) -> "Column[Any]":
    return Column(name, kind, nullable=False, server_default=text(default) if default is not None else None)


def _stamp(name: str) -> "Column[Any]":
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _when(name: str) -> "Column[Any]":
    return Column(name, DateTime(timezone=True))


sources = Table(
    "sources",
    metadata,
    _id(),
    _need("name", Text),
    _need("licence", Text),
    _stamp("created_at"),
    UniqueConstraint("name"),
)

imports = Table(
    "imports",
    metadata,
    _id(),
    _ref("source_id", "sources.id"),
    _need("fingerprint", LargeBinary),  # sha256 of the file's bytes, preset, options and source
    _need("file_name", Text),
    _need("preset", Text),
    _need("rows_done", BigInteger, "0"),
    _need("imported", BigInteger, "0"),
    _need("duplicates", BigInteger, "0"),
    _need("identical", BigInteger, "0"),
    _need("conflicts", BigInteger, "0"),
    _need("bad", BigInteger, "0"),
    _need("bad_codes", JSON, "'{}'"),  # how many of each code
    _need("bad_lines", JSON, "'[]'"),
    _stamp("started_at"),
    _when("finished_at"),
    UniqueConstraint("fingerprint"),
)

queries = Table(
    "queries",
    metadata,
    _id(),
    _need("hash", LargeBinary),
    _need("raw_fingerprint", BigInteger),  # of the messages as they came: tells byte-identical from folded duplicates
    _need("category", Text),
    _need("messages", JSON),  # normalised
    _need("tools", JSON, "'[]'"),
    Column("reference", Text),
    Column("verifier", JSON),
    _ref("source_id", "sources.id"),
    _need("line", BigInteger, "0"),
    _stamp("imported_at"),
    UniqueConstraint("hash"),
    Index(None, "source_id"),
)

query_conflicts = Table(
    "query_conflicts",
    metadata,
    _id(),
    _ref("query_id", "queries.id"),
    _ref("source_id", "sources.id"),
    _need("line", BigInteger),
    Column("reference", Text),
    UniqueConstraint("query_id", "source_id", "line"),
)

benchmarks = Table(
    "benchmarks",
    metadata,
    _id(),
    _need("name", Text),
    _need("method", Text, "''"),  # how its hits were found: the matcher's version and options
    _need("checked_through", BigInteger, "0"),  # every query up to this id was checked against all of its items
    _stamp("created_at"),
    UniqueConstraint("name"),
)

benchmark_items = Table(
    "benchmark_items",
    metadata,
    _id(),
    _ref("benchmark_id", "benchmarks.id"),
    _need("hash", LargeBinary),  # sha256 of kind and text
    _need("line", BigInteger),
    _need("kind", Text),  # prose or code
    _need("text", Text),
    UniqueConstraint("benchmark_id", "hash"),
)

contamination = Table(
    "contamination",
    metadata,
    _ref("query_id", "queries.id", primary_key=True),
    _ref("item_id", "benchmark_items.id", primary_key=True),
    _need("kind", Text),  # exact, ngram, short
    _need("query_span", ARRAY(Integer)),
    _need("item_span", ARRAY(Integer)),
    _need("share", Double),
    _stamp("found_at"),
    Index(None, "item_id"),
)

allowances = Table(
    "allowances",
    metadata,
    _id(),
    _ref("query_id", "queries.id"),
    _ref("benchmark_id", "benchmarks.id", nullable=True),  # none: whatever the benchmark
    _need("reason", Text),
    _need("decided_by", Text),
    _stamp("decided_at"),
    Index(None, "query_id"),
)

deduplication = Table(
    "deduplication",
    metadata,
    Column("scheme", Text, primary_key=True),  # what band keys and pairs were computed by; one row
    _need("key", Text, "gen_random_uuid()"),  # names these bands in files that are made from them
    _need("checked_through", BigInteger, "0"),  # every query up to this id has its bands stored and was compared
    _need("settled_through", BigInteger, "0"),  # no query up to this id is displaced by a later one
    _need("settled_cluster", BigInteger, "0"),  # no cluster up to this one gets another representative
)

bands = Table(
    "bands",
    metadata,
    _need("key", BigInteger),
    _need("query_id", BigInteger),  # no foreign key: its checks would double the cost of the registry's largest table
    Index(None, "key", "query_id"),
)

near_duplicates = Table(
    "near_duplicates",
    metadata,
    _ref("first", "queries.id", primary_key=True),
    _ref("second", "queries.id", primary_key=True),
    _need("similarity", Double),
    Index(None, "second"),
)

clusters = Table(
    "clusters",
    metadata,
    _id(),
    _ref("representative", "queries.id"),
    _stamp("created_at"),
)

cluster_members = Table(
    "cluster_members",
    metadata,
    _ref("query_id", "queries.id", primary_key=True),
    _ref("cluster_id", "clusters.id"),
    Column("nearest", BigInteger),  # the member that is most like it; none where only the representative is left
    Column("similarity", Double),
    Index(None, "cluster_id"),
)

workers = Table(
    "workers",
    metadata,
    _id(),
    _need("host", Text),
    _need("pid", Integer),
    _stamp("started_at"),
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _need("key", LargeBinary),  # content hash of the resolved recipe and the set of query hashes
    _need("name", Text),
    _need("recipe", JSON),
    _need("context", JSON, "'{}'"),  # what else decides the samples: the benchmarks' hashes
    _need("state", Text),
    Column("reason", Text),
    _need("queries", BigInteger),
    _need("left_out", JSON, "'[]'"),  # what the recipe's sources and categories hold beside the run's queries, and why
    _need("lost_usd", Double, "0"),  # charged for tries that brought no reply; whoever pays for their keys later
    _need("lost_tokens", BigInteger, "0"),
    _stamp("created_at"),
    _when("finished_at"),
    UniqueConstraint("key"),
)

run_counters = Table(
    "run_counters",
    metadata,
    _ref("run_id", "runs.id", primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    _need("items", BigInteger),
)

work_items = Table(
    "work_items",
    metadata,
    _ref("run_id", "runs.id", primary_key=True),
    _ref("query_id", "queries.id", primary_key=True),
    _need("turn", SmallInteger, "0"),
    _need("stage", Text),
    _need("state", Text),
    _need("attempts", SmallInteger, "0"),
    Column("stratum", Text),  # of a mixture: for which the item counts
    _need("responses", SmallInteger, "1"),  # how many samples it is to bring
    _need("rank", BigInteger, "0"),  # the seed's order among the held
    _stamp("available_at"),  # the end of a backoff, or of the lease while a worker holds one
    Column("worker_id", BigInteger),
    _need("lease_token", BigInteger, "0"),
    Column("reason", Text),
    Column("detail", Text),
    Index("ix_work_items_claimable", "run_id", "available_at", "query_id", postgresql_where=text("state = 'ready'")),
    Index("ix_work_items_held", "run_id", "stage", "stratum", "rank", postgresql_where=text("state = 'held'")),
    Index("ix_work_items_leased", "worker_id", postgresql_where=text("worker_id IS NOT NULL")),
    Index("ix_work_items_query_id", "query_id"),
    postgresql_with={"fillfactor": "80"},
)


def _item_columns(*, turn: bool) -> "list[Column[Any]]":
    columns: list[Column[Any]] = [
        Column("run_id", BigInteger, primary_key=True),
        Column("query_id", BigInteger, primary_key=True),
    ]
    return [*columns, Column("turn", SmallInteger, primary_key=True)] if turn else columns


def _item_key() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["run_id", "query_id"], ["work_items.run_id", "work_items.query_id"], ondelete="CASCADE"
    )


embedders = Table(
    "embedders",
    metadata,
    _id(),
    _need("model", Text),
    _need("revision", Text),
    UniqueConstraint("model", "revision"),
)

embeddings = Table(
    "embeddings",
    metadata,
    _ref("embedder_id", "embedders.id", primary_key=True),
    _ref("query_id", "queries.id", primary_key=True),
    Column("vector", LargeBinary),  # little-endian float16 of unit length; none where the endpoint refuses the text
    _need("call", LargeBinary),  # the ledger key of the batch that brought it; empty where none did
)

semantic_clusters = Table(
    "semantic_clusters",
    metadata,
    _ref("run_id", "runs.id", primary_key=True),
    _ref("query_id", "queries.id", primary_key=True),
    _need("embedder_id", BigInteger),
    _need("representative_id", BigInteger),  # the query nearest to the cluster's centre
    _need("similarity", REAL),  # cosine to the centre
)

stage_attempts = Table(
    "stage_attempts",
    metadata,
    _id(),
    _need("run_id", BigInteger),
    _need("query_id", BigInteger),
    _need("turn", SmallInteger),
    _need("stage", Text),
    Column("worker_id", BigInteger),
    _need("started_at", DateTime(timezone=True)),
    _need("seconds", Double),
    _need("outcome", Text),  # done, dropped, failed
    Column("error", Text),
    _need("calls", ARRAY(LargeBinary)),
    Index("ix_stage_attempts_item", "run_id", "query_id"),
)

tags = Table(
    "tags",
    metadata,
    *_item_columns(turn=False),
    Column("position", SmallInteger, primary_key=True),
    _need("model", Text),
    _need("difficulty", SmallInteger),
    _need("domain", Text),
    _need("verifiable", Boolean),
    _need("call", LargeBinary),
    _need("labels", JSON, "'{}'"),
    _item_key(),
)

tag_summaries = Table(
    "tag_summaries",
    metadata,
    *_item_columns(turn=False),
    _need("difficulty", Double),
    _need("spread", SmallInteger),
    _need("domain", Text),
    _need("verifiable", Boolean),
    _need("labels", JSON, "'{}'"),
    _item_key(),
)

soft_labels = Table(
    "soft_labels",
    metadata,
    *_item_columns(turn=False),
    Column("reference", Text),  # none where the labellers agree too little
    _need("verifier", JSON),
    _need("confidence", Double),
    _need("weighted", Double),
    _item_key(),
)

soft_label_answers = Table(
    "soft_label_answers",
    metadata,
    *_item_columns(turn=False),
    Column("position", SmallInteger, primary_key=True),
    _need("model", Text),
    _need("answer", Text),
    Column("rank", SmallInteger),
    _need("call", LargeBinary),
    Column("fault", Text),
    _item_key(),
)

pass_rates = Table(
    "pass_rates",
    metadata,
    *_item_columns(turn=False),
    _need("policy", Text),
    _need("revision", Text),
    _need("mode", Text),  # as asked for: think_on, think_off, auto
    _need("prompted", Boolean),
    _need("temperature", Double),
    _need("top_p", Double),
    _need("max_tokens", Integer),
    _need("soft", Boolean),  # measured against a soft label
    _need("k", SmallInteger),
    _need("correct", SmallInteger),
    _need("incorrect", SmallInteger),
    _need("undecided", SmallInteger),
    _need("tokens", BigInteger),
    _stamp("measured_at"),
    _item_key(),
    Index(None, "query_id"),
)

rollouts = Table(
    "rollouts",
    metadata,
    *_item_columns(turn=False),
    Column("position", SmallInteger, primary_key=True),
    Column("mode", Text),
    _need("outcome", Text),
    _need("status", Text),
    _need("tokens", Integer),
    _need("call", LargeBinary),
    _need("evidence", JSON),
    _item_key(),
)

turns = Table(
    "turns",
    metadata,
    *_item_columns(turn=True),
    Column("mode", Text),
    Column("origin", Text),
    Column("margin", Double),
    Column("accepted", SmallInteger),
    Column("judge_analysis", Text),
    Column("results", JSON),  # what the accepted answer's tool calls gave
    _item_key(),
)

further = Table(  # accepted candidates of the last turn beyond the first
    "further",
    metadata,
    *_item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    Column("judge_analysis", Text),
    _need("kept", Boolean, "true"),  # false where a stage put another in its place
    _item_key(),
)

votes = Table(
    "votes",
    metadata,
    *_item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    _need("model", Text),
    _need("mode", Text),
    _need("reason", Text),
    _need("call", LargeBinary),
    _item_key(),
)

intents = Table(
    "intents",
    metadata,
    *_item_columns(turn=True),
    _need("mode", Text),
    _need("place", Text),
    _need("text", Text),
    _need("wording", Text),
    Column("call", LargeBinary),
    _item_key(),
)

mode_measurements = Table(
    "mode_measurements",
    metadata,
    *_item_columns(turn=True),
    _need("chosen", Text),
    _need("chosen_by", Text),
    Column("preferred", Text),
    *(_need(f"{mode}_{count}", Integer) for mode in ("off", "on") for count in ("n", "correct", "undecided", "tokens")),
    _item_key(),
)

candidates = Table(
    "candidates",
    metadata,
    *_item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    _need("mode", Text),
    _need("model", Text),
    _need("thinking", Text),
    _need("answer", Text),
    _need("tool_calls", JSON),
    _need("rounds", JSON),
    _need("calls", ARRAY(LargeBinary)),
    Column("fault", Text),
    Column("tokens", Integer),  # none where several models wrote it together
    _item_key(),
)

verdicts = Table(
    "verdicts",
    metadata,
    *_item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    _need("verifier", Text),
    _need("outcome", Text),
    _need("status", Text),
    Column("reward", Double),
    _need("evidence", JSON),
    _item_key(),
)

scores = Table(
    "scores",
    metadata,
    *_item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    _need("candidate", SmallInteger),
    _need("rewarder", Text),
    _need("dimension", Text),
    _need("value", Double),
    _need("reason", Text),
    _need("call", LargeBinary),
    _item_key(),
)

samples = Table(
    "samples",
    metadata,
    _id(),
    _need("hash", LargeBinary),
    _need("run_id", BigInteger),
    _need("query_id", BigInteger),
    _need("number", SmallInteger, "0"),  # among the samples of the item
    Column("mode", Text),  # none of a query–verifier pair
    _need("sample", JSON),
    _need("lineage", LargeBinary),
    _stamp("accepted_at"),
    _item_key(),
    UniqueConstraint("run_id", "query_id", "number"),
    Index(None, "hash"),
)

calls = Table(
    "calls",
    metadata,
    _id(),
    _need("key", LargeBinary),
    _need("model", Text),
    _need("revision", Text),
    _need("state", Text),  # reserved, done, failed
    _need("request", JSON),
    Column("reply", JSON),
    Column("finish_reason", Text),
    _need("usd", Double, "0"),  # the estimate while reserved, what was charged afterwards
    _need("tokens", BigInteger, "0"),
    _need("lost_usd", Double, "0"),  # charged over this key for tries that brought no reply, by any run
    _need("lost_tokens", BigInteger, "0"),
    _need("recorded", Boolean, "false"),  # served from a recorded ledger: the money is what it would have cost
    Column("seconds", Double),
    Column("error", Text),
    _need("run_id", BigInteger),
    _need("worker_id", BigInteger),
    _stamp("created_at"),
    _when("settled_at"),
    UniqueConstraint("key"),
    Index(None, "run_id"),
    Index("ix_calls_reserved", "worker_id", postgresql_where=text("state = 'reserved'")),
)

snapshots = Table(
    "snapshots",
    metadata,
    _id(),
    _need("name", Text),
    _need("version", Integer),
    _need("hash", LargeBinary),
    _need("stage", Text),
    _need("path", Text),
    _need("manifest", JSON),
    _stamp("created_at"),
    UniqueConstraint("name", "version"),
    UniqueConstraint("name", "hash"),
)

snapshot_rows = Table(
    "snapshot_rows",
    metadata,
    _ref("snapshot_id", "snapshots.id", primary_key=True),
    _ref("sample_id", "samples.id", primary_key=True),
    Index(None, "sample_id"),
)
