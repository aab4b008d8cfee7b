"""The ledger of calls to models."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, Table, Text, UniqueConstraint, text
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
    need("request", JSON),
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
