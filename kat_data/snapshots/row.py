"""Single rows of a snapshot, by their place or by the start of their id; the other rows stay unread."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kat_data.domain.split import TRAIN
from kat_data.errors import NotFoundError, SnapshotError, UserError
from kat_data.snapshots.manifest import Shard
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import Record

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile


def row_at(snapshot: Snapshot, number: int, split: str | None = None) -> Record:
    """Return the row with this number, counted from 0 as `datasets` does, of a split: `train` unless another is named.

    Raises `NotFoundError` where there is no such split or row.
    """
    splits = snapshot.manifest.splits
    split = split or TRAIN
    if split not in splits:
        raise NotFoundError(f"there is no split {split}; there are: {', '.join(splits) or 'none'}")
    left = number
    for shard in snapshot.manifest.hashed.shards:
        if shard.split != split:
            continue
        if left < shard.rows:
            return _row(snapshot, shard, left)
        left -= shard.rows
    raise NotFoundError(f"there is no row {number}: {split} has {splits[split]}, counted from 0")


def row_with(snapshot: Snapshot, start: str) -> Record:
    """Return the row whose id begins so; raises `NotFoundError`, or `UserError` where several do."""
    found: tuple[Shard, int] | None = None
    for shard in snapshot.manifest.hashed.shards:
        for number in _beginning(snapshot, shard, start.lower()):
            if found:
                raise UserError(f"several rows' ids begin with {start!r}: give more of the id")
            found = shard, number
    if found is None:
        raise NotFoundError(f"no row has an id that begins with {start!r}")
    return _row(snapshot, *found)


def _beginning(snapshot: Snapshot, shard: Shard, start: str) -> list[int]:
    import pyarrow.compute as pc

    numbers, before = [], 0
    with _opened(snapshot, shard) as file:
        for batch in file.iter_batches(columns=["id"]):
            numbers += [before + at for at in pc.indices_nonzero(pc.starts_with(batch["id"], start)).to_pylist()]
            before += batch.num_rows
    return numbers


def _row(snapshot: Snapshot, shard: Shard, number: int) -> Record:
    with _opened(snapshot, shard) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < rows:
                record: Record = file.read_row_group(group).slice(number, 1).to_pylist()[0]
                return record
            number -= rows
    raise SnapshotError(f"{shard.path} has fewer rows than the manifest says: `kat snapshots verify` tells the rest")


@contextmanager
def _opened(snapshot: Snapshot, shard: Shard) -> "Iterator[ParquetFile]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(snapshot.path / shard.path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise SnapshotError(f"{snapshot.path / shard.path} cannot be read as Parquet: {error}") from error
