"""What curators decided on samples: rows are only ever added."""

from sqlalchemy import Column, Double, Index, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from kat_data.registry.tables.columns import identity, metadata, need, ref, stamp

# A decision holds for what was seen: for every sample of the same content, whichever run brought it.
decisions = Table(
    "decisions",
    metadata,
    identity(),
    need("event", Text),  # the client's own key of one press or one bulk act, so that sent twice it counts once
    ref("sample_id", "samples.id"),
    need("sample_hash", LargeBinary),  # of what was seen
    need("curator", Text),
    need("act", Text),
    need("reasons", ARRAY(Text), "'{}'"),  # codes
    need("note", Text, "''"),
    Column("payload", JSON),  # what an edit, a pick, a mode or a tag puts in the place of what was there
    Column("guideline", Text),  # the version that the curator was shown
    Column("dwell", Double),  # seconds between seeing and deciding; none of a bulk act
    ref("undoes", "decisions.id", nullable=True),
    stamp("decided_at"),
    UniqueConstraint("event", "sample_id"),
    UniqueConstraint("undoes"),
    Index(None, "sample_hash", "id"),
)
