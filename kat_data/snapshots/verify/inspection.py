"""The inspection of one shard: its hash, its columns, every row, and what has to fit with the other shards."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kat_data.errors import SnapshotError
from kat_data.hashing import file_sha256
from kat_data.snapshots.manifest import Shard
from kat_data.snapshots.record import Record, TrainingStage, order_key
from kat_data.snapshots.schema import arrow_schema
from kat_data.snapshots.survey.survey import Surveyor
from kat_data.snapshots.verify.invariants import check_row

_ROWS: Final = 2_000
_MOST: Final = 20
"""Problems of one shard's rows that are told one by one; the others are counted."""
_PREFIX: Final = 16  # bytes of a hash by which two are told apart

Key = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the manifest says of every shard: `targets` are the mixture's, `several` says that there are splits."""

    stage: TrainingStage
    schema_version: int
    seed: int
    targets: Mapping[str, int]
    several: bool


@dataclass(slots=True, kw_only=True)
class Inspection:
    """What one shard came to.

    `first` and `last` are the places of its ends in the seed's order; `ordered` and `repeated` say of its rows that
    none stands before its place, and that one stands there twice. `ids` and `queries` are the beginnings of the rows'
    hashes, an array a batch, kept where there are several splits, which must not share any.
    """

    shard: Shard
    surveyor: Surveyor
    problems: list[str] = field(default_factory=list)
    rows: int = 0
    first: Key | None = None
    last: Key | None = None
    ordered: bool = True
    repeated: bool = False
    ids: list[NDArray[Any]] = field(default_factory=list)
    queries: list[NDArray[Any]] = field(default_factory=list)


def inspect_shard(folder: Path, shard: Shard, terms: Terms) -> Inspection:
    """Inspect one shard of a snapshot's folder: it keeps 32 bytes of a row where there are splits, else none."""
    found = Inspection(shard=shard, surveyor=Surveyor(terms.targets))
    problems: Iterator[str] = chain.from_iterable(
        _look(batch, found, terms) for batch in _batches(folder / shard.path, shard, terms)
    )
    try:
        found.problems += islice(problems, _MOST)
        if more := sum(1 for _ in problems):
            found.problems.append(f"{shard.path}: {more} more problems of its rows")
        if found.rows != shard.rows:
            found.problems.append(f"{shard.path} holds {found.rows} rows, the manifest says {shard.rows}")
    except SnapshotError as error:
        found.problems.append(str(error))
    return found


def _batches(path: Path, shard: Shard, terms: Terms) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a shard once its hash and its columns are right; raises `SnapshotError` where they are not."""
    try:
        if file_sha256(path).hex() != shard.sha256:
            raise SnapshotError(f"{shard.path} was changed after it was written: its sha256 does not match")
        with pq.ParquetFile(path, memory_map=True) as file:
            if set(file.schema_arrow.names) != set(arrow_schema(terms.stage, terms.schema_version).names):
                raise SnapshotError(f"{shard.path} has other columns than a {terms.stage} snapshot")
            yield from file.iter_batches(_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise SnapshotError(f"{shard.path} cannot be read as Parquet: {error}") from error


def _look(batch: pa.RecordBatch, found: Inspection, terms: Terms) -> Iterator[str]:
    """Look at every row of a batch, add what it comes to to `found`, and yield what is wrong."""
    records = batch.to_pylist()
    for number, record in enumerate(records, found.rows):
        for problem in check_row(record, terms.stage, terms.schema_version):
            yield f"{found.shard.path} row {number}: {problem}"
    found.rows += len(records)
    try:
        _place(records, found, terms)
        found.surveyor.add(batch)
    except (AttributeError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        yield f"{found.shard.path}: its rows cannot be counted: {error!r}"


def _place(records: Sequence[Record], found: Inspection, terms: Terms) -> None:
    keys = [order_key(terms.seed, record) for record in records]
    for left, right in pairwise(keys if found.last is None else [found.last, *keys]):
        found.ordered &= left <= right
        found.repeated |= left == right
    found.first, found.last = found.first or keys[0], keys[-1]
    if terms.several:
        ids, queries = prefixes(record["id"] for record in records), prefixes({record["query"] for record in records})
        found.ids.append(ids)
        found.queries.append(queries)


def prefixes(hashes: Iterable[str]) -> NDArray[Any]:
    """Return the beginnings of hashes in hex, as bytes."""
    return np.array([bytes.fromhex(found[: 2 * _PREFIX]) for found in hashes], dtype=f"S{_PREFIX}")
