"""Jobs of the fleet, which are not items of runs."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSON

from kat_data.registry.tables.columns import identity, metadata, moment, need, stamp

jobs = Table(
    "jobs",
    metadata,
    identity(),
    need("key", LargeBinary),  # content hash of kind and arguments: what is asked for twice is open once
    need("kind", Text),
    need("arguments", JSON),
    need("state", Text),
    need("attempts", SmallInteger, "0"),
    stamp("available_at"),  # the end of a backoff
    Column("worker_id", BigInteger),  # who works on it, or did so last
    Column("progress", JSON),  # how far its worker is: what it does, done, total
    Column("result", JSON),
    Column("error", Text),  # why it failed, or why its last try did
    stamp("created_at"),
    moment("finished_at"),
    Index("ix_jobs_open", "key", unique=True, postgresql_where=text("state = 'open'")),
)
