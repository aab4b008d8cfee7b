"""The batches in which calls travel through Batch APIs."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSON

from kat_data.registry.tables.columns import identity, metadata, moment, need, stamp

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
    Column("held_usd", Double),  # what it can still cost, once the slice of who handed it in has ended
    Column("held_tokens", BigInteger),
    need("run_id", BigInteger),
    need("worker_id", BigInteger),  # who fetches it
    stamp("created_at"),
    moment("submitted_at"),
    moment("expires_at"),
    moment("ended_at"),
    UniqueConstraint("token"),
    Index("ix_batches_live", "worker_id", postgresql_where=text("state <> 'ended'")),
)
