"""What runs bring, and the snapshots that hold it."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSON

from kat_data.registry.tables.columns import identity, item_key, metadata, need, ref, stamp

samples = Table(
    "samples",
    metadata,
    identity(),
    need("hash", LargeBinary),
    need("run_id", BigInteger),
    need("query_id", BigInteger),
    need("number", SmallInteger, "0"),  # among the samples of the item
    Column("mode", Text),  # none of a query–verifier pair
    Column("stratum", Text),  # of the run's mixture, empty outside of it; none where the run has no mixture
    need("sample", JSON),
    Column("rendered", Text),  # what a snapshot's row holds of it beside labels, as JSON; none of older samples
    Column("rendered_as", Text),  # the stage of training that it is rendered for
    need("lineage", LargeBinary),
    stamp("accepted_at"),
    item_key(),
    UniqueConstraint("run_id", "query_id", "number"),
    Index(None, "hash"),
)

snapshots = Table(
    "snapshots",
    metadata,
    identity(),
    need("name", Text),
    need("version", Integer),
    need("hash", LargeBinary),
    need("stage", Text),
    need("path", Text),
    need("manifest", JSON),
    stamp("created_at"),
    UniqueConstraint("name", "version"),
    UniqueConstraint("name", "hash"),
)

snapshot_rows = Table(
    "snapshot_rows",
    metadata,
    ref("snapshot_id", "snapshots.id", primary_key=True),
    ref("sample_id", "samples.id", primary_key=True),
    Index(None, "sample_id"),
)
