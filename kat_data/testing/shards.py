"""Shards of any records, also of such that no build would write."""

import pyarrow as pa
import pyarrow.parquet as pq

from kat_data.snapshots.record import Record, TrainingStage
from kat_data.snapshots.schema import arrow_schema


def to_parquet(records: list[Record], stage: TrainingStage) -> bytes:
    """Return the bytes of a shard of these records."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records, schema=arrow_schema(stage)), sink)
    return bytes(sink.getvalue())
