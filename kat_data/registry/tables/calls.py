"""The ledger of calls to models, and the batches in which calls travel."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
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
    Column("batch_id", BigInteger),  # the batch that it is, or was, in
    stamp("created_at"),
    moment("settled_at"),
    UniqueConstraint("key"),
    Index(None, "run_id"),
    Index("ix_calls_batch", "batch_id", postgresql_where=text("state = 'reserved' AND batch_id IS NOT NULL")),
    Index("ix_calls_reserved", "worker_id", postgresql_where=text("state = 'reserved'")),
)

batches = Table(
    "batches",
    metadata,
    identity(),
    need("token", Text),  # ours, told to the provider before it has a name for the batch
    need("place", Text),  # provider and URL
    need("endpoint", Text),
    need("model", Text),
    need("price", JSON),
    need("state", Text),  # submitting, submitted, ended
    Column("provider_id", Text),
    Column("outcome", Text),  # the provider's word for how it ended
    need("rows", Integer),
    need("done", Integer, "0"),
    need("run_id", BigInteger),
    need("worker_id", BigInteger),  # who fetches it
    stamp("created_at"),
    moment("submitted_at"),
    moment("expires_at"),
    moment("ended_at"),
    UniqueConstraint("token"),
    Index("ix_batches_live", "worker_id", postgresql_where=text("state <> 'ended'")),
)
