"""The ledger of calls to models, and what is left of calls whose replies were pruned."""

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

from kat_data.registry.tables.columns import identity, metadata, moment, need, stamp

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
    stamp("created_at"),
    moment("settled_at"),
    UniqueConstraint("key"),
    Index(None, "run_id"),
    Index("ix_calls_reserved", "worker_id", postgresql_where=text("state = 'reserved'")),
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
