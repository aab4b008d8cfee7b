"""The ledger of calls to models, what is left of those that were pruned, and who holds how much of a budget."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON

from kat_data.registry.tables.columns import identity, metadata, moment, need, ref, stamp

calls = Table(
    "calls",
    metadata,
    identity(),
    need("key", LargeBinary),
    need("model", Text),
    need("revision", Text),
    need("state", Text),  # reserved, done, failed
    Column("request", JSON),  # none once it was pruned: nothing but people's questions needs it
    Column("reply", JSON),
    Column("finish_reason", Text),
    need("usd", Double, "0"),  # the estimate while reserved, what was charged afterwards
    need("tokens", BigInteger, "0"),
    need("lost_usd", Double, "0"),  # charged over this key for tries that brought no reply, by any run
    need("lost_tokens", BigInteger, "0"),
    need("recorded", Boolean, "false"),  # served from a recorded ledger: the money is what it would have cost
    Column("seconds", Double),
    Column("error", Text),
    need("run_id", BigInteger),
    need("worker_id", BigInteger),
    Column("batch_id", BigInteger),  # the batch that it is, or was, in
    stamp("created_at"),
    moment("settled_at"),
    UniqueConstraint("key"),
    Index(None, "run_id"),
    Index("ix_calls_batch", "batch_id", postgresql_where=text("state = 'reserved' AND batch_id IS NOT NULL")),
    Index("ix_calls_reserved", "worker_id", postgresql_where=text("state = 'reserved'")),
)

# What all slices of a run hold together never passes its cap: a worker holds what it was granted, with what it has
# spent of it; nothing is granted where there is no cap. Workers that ended stand together in the row of worker 0,
# and what their batches can still cost is granted to worker -1.
budget_slices = Table(
    "budget_slices",
    metadata,
    ref("run_id", "runs.id", primary_key=True),
    Column("worker_id", BigInteger, primary_key=True, autoincrement=False),
    Column("granted_usd", Double),
    Column("granted_tokens", BigInteger),
    need("spent_usd", Double, "0"),  # settled calls and what was lost; calls in flight stand in the ledger
    need("spent_tokens", BigInteger, "0"),
    postgresql_with={"fillfactor": "50"},  # rewritten with every commit of the ledger
)

pruned_calls = Table(
    "pruned_calls",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # as it was in calls
    need("key", LargeBinary),  # several rows may have it: it can be paid for, and pruned, again
    need("model", Text),
    need("revision", Text),
    need("finish_reason", Text),
    need("usd", Double),
    need("tokens", BigInteger),
    need("lost_usd", Double),
    need("lost_tokens", BigInteger),
    need("prompt_tokens", BigInteger),
    need("completion_tokens", BigInteger),
    need("recorded", Boolean),
    Column("seconds", Double),
    need("run_id", BigInteger),
    need("worker_id", BigInteger),
    need("created_at", DateTime(timezone=True)),
    need("settled_at", DateTime(timezone=True)),
    stamp("pruned_at"),
    Index(None, "key"),
    Index(None, "run_id"),
)
