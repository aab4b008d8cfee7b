"""Runs, their queue of items, and who works on it."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from kat_data.registry.tables.columns import identity, metadata, moment, need, ref, stamp

workers = Table(
    "workers",
    metadata,
    identity(),
    need("host", Text),
    need("pid", Integer),
    Column("run_id", BigInteger),  # the run that it takes part in
    stamp("started_at"),
    stamp("seen_at"),  # its last heartbeat
    moment("ended_at"),  # when it left by itself
    Index("ix_workers_run_id", "run_id", postgresql_where=text("ended_at IS NULL")),
)

runs = Table(
    "runs",
    metadata,
    identity(),
    need("key", LargeBinary),  # content hash of the resolved recipe and the set of query hashes
    need("name", Text),
    need("recipe", JSON),
    need("context", JSON, "'{}'"),  # what else decides the samples: the benchmarks' hashes
    need("state", Text),
    need("executor", Text, "'local'"),  # who works on it while it is open: `local` processes, or the fleet's (`celery`)
    Column("reason", Text),
    Column("stopped_by", Text),  # the kind of error that stopped it, by the name of its class
    need("queries", BigInteger),
    need("left_out", JSON, "'[]'"),  # what the recipe's sources and categories hold beside the run's queries, and why
    need("lost_usd", Double, "0"),  # charged for tries that brought no reply; whoever pays for their keys later
    need("lost_tokens", BigInteger, "0"),
    stamp("created_at"),
    moment("finished_at"),
    UniqueConstraint("key"),
)

run_counters = Table(
    "run_counters",
    metadata,
    ref("run_id", "runs.id", primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    need("items", BigInteger),
)

work_items = Table(
    "work_items",
    metadata,
    ref("run_id", "runs.id", primary_key=True),
    ref("query_id", "queries.id", primary_key=True),
    need("turn", SmallInteger, "0"),
    need("stage", Text),
    need("state", Text),
    need("attempts", SmallInteger, "0"),
    Column("pool", Text),  # of a mixture: where the item waits, or waited last
    need("responses", SmallInteger, "1"),  # how many samples it is to bring
    need("rank", BigInteger, "0"),  # the seed's order among the held
    stamp("available_at"),  # the end of a backoff, or of the lease while a worker holds one
    Column("worker_id", BigInteger),
    need("lease_token", BigInteger, "0"),
    Column("reason", Text),
    Column("detail", Text),
    Index(
        "ix_work_items_claimable",
        "run_id",
        "stage",
        "available_at",
        "query_id",
        postgresql_where=text("state = 'ready'"),
    ),
    Index("ix_work_items_held", "run_id", "stage", "pool", "rank", postgresql_where=text("state = 'held'")),
    Index("ix_work_items_leased", "worker_id", postgresql_where=text("worker_id IS NOT NULL")),
    Index("ix_work_items_query_id", "query_id"),
    postgresql_with={"fillfactor": "80"},
)

stage_attempts = Table(
    "stage_attempts",
    metadata,
    identity(),
    need("run_id", BigInteger),
    need("query_id", BigInteger),
    need("turn", SmallInteger),
    need("stage", Text),
    Column("worker_id", BigInteger),
    need("started_at", DateTime(timezone=True)),
    need("seconds", Double),
    need("outcome", Text),  # done, dropped, held, failed
    Column("error", Text),
    need("calls", ARRAY(LargeBinary)),
    Index("ix_stage_attempts_item", "run_id", "query_id"),
)
