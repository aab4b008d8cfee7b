"""The plan of a snapshot whose rows a caller has at hand: the same bytes as a registry's plan of the same rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import pyarrow as pa

from kat_data.errors import SnapshotError
from kat_data.hashing import canonical_json, content_hash
from kat_data.snapshots.build.shards import PlannedShard
from kat_data.snapshots.mixture import within
from kat_data.snapshots.record import Record, Row, TrainingStage, labels_of_row, order_key, render, to_record
from kat_data.snapshots.schema import RENDERED, rendered_schema

_BATCH_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRows:
    """Rows by split in the seed's order, cut into shards; the first of `shard_rows` are those of `shards[0]`."""

    stage: TrainingStage
    shards: Sequence[PlannedShard]
    shard_rows: Sequence[Sequence[Row]]
    duplicates: int
    surplus: int

    def batches(self, shard: PlannedShard) -> Iterator[pa.RecordBatch]:
        """Yield the shard's rows in order, as `schema.rendered_schema` has them."""
        rows = self.shard_rows[self.shards.index(shard)]
        for first in range(0, len(rows), _BATCH_ROWS):
            lines = [
                labels_of_row(row) | {RENDERED: render(row.sample, self.stage, row.grading) + "\n"}
                for row in rows[first : first + _BATCH_ROWS]
            ]
            yield pa.RecordBatch.from_pylist(lines, schema=rendered_schema())


def plan_rows(
    splits: Mapping[str, Iterable[Row]],
    stage: TrainingStage,
    seed: int,
    targets: Mapping[str, int],
    *,
    shard_bytes: int,
) -> GivenRows:
    """Plan the snapshot of rows that may come in any order, with at most the target of each stratum.

    Raises `SnapshotError` where two splits share a row.
    """
    home: dict[str, str] = {}
    rows: dict[str, Row] = {}
    given = 0
    for split, ordered in ((split, sorted(found, key=_preference)) for split, found in splits.items()):
        given += len(ordered)
        for row in ordered:
            rows.setdefault(row.id, row)
            if home.setdefault(row.id, split) != split:
                raise SnapshotError(
                    f"row {row.id[:12]} stands in the splits {home[row.id]} and {split}: keep it in one"
                )
    records = {ident: to_record(row, stage) for ident, row in rows.items()}
    taken = within((records[i] for split in splits for i in _in_order(seed, records, home, split)), targets)
    shards, shard_rows = [], []
    for split in splits:
        order = [rows[ident] for ident in _in_order(seed, records, home, split) if ident in taken]
        for number, part in enumerate(_cut(order, stage, shard_bytes)):
            inputs = content_hash([to_record(row, stage) for row in part]).hex()
            shards.append(PlannedShard(split=split, number=number, rows=len(part), inputs=inputs))
            shard_rows.append(part)
    return GivenRows(
        stage=stage,
        shards=shards,
        shard_rows=shard_rows,
        duplicates=given - len(rows),
        surplus=len(rows) - len(taken),
    )


def _preference(row: Row) -> bytes:
    """Of rows with the same sample the one whose labels come first as JSON is kept."""
    return canonical_json(labels_of_row(row))


def _in_order(seed: int, records: Mapping[str, Record], home: Mapping[str, str], split: str) -> list[str]:
    found = [record for ident, record in records.items() if home[ident] == split]
    return [record["id"] for record in sorted(found, key=lambda record: order_key(seed, record))]


def _cut(rows: Sequence[Row], stage: TrainingStage, limit: int) -> Iterator[list[Row]]:
    """Cut rows into shards: a new one begins with the row that begins beyond another `limit` bytes of text."""
    begun, numbered = 0, []
    for row in rows:
        numbered.append((begun // limit, row))
        begun += len(render(row.sample, stage, row.grading).encode())
    for _, part in groupby(numbered, key=itemgetter(0)):
        yield [row for _, row in part]
