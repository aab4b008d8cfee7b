"""Export a snapshot's rows in a format of training libraries, whole or not at all, in constant memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path, PurePosixPath

import orjson

from kat_data.errors import SnapshotError, UserError
from kat_data.snapshots.folder import exclusive, plain_errors, publish, synced, unfinished, write_file
from kat_data.snapshots.formats.features import Columns, arrow_schema, as_text, card, columns_of
from kat_data.snapshots.formats.formats import FORMATS, ExportFormat, check_format, whole
from kat_data.snapshots.formats.loss import Fitted, Loss
from kat_data.snapshots.formats.preference import FindRivals, pairs
from kat_data.snapshots.manifest import CARD
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import Record

_BATCH = 1_000

Moved = Callable[[int, int], None]
"""Told how many of how many rows, or bytes, are done."""


def unseen(done: int, total: int) -> None:
    """Show nobody what is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The files of an export, how many rows they hold, and what the format could not hold."""

    files: tuple[Path, ...]
    rows: int
    lost: dict[Loss, int]


def export(
    snapshot: Snapshot,
    form: ExportFormat,
    target: Path,
    *,
    parquet: bool = False,
    find_rivals: FindRivals | None = None,
    moved: Moved = unseen,
) -> Exported:
    """Write the rows into the new folder `target`, a file for each split that has any; preferences need `find_rivals`.

    Raises `SnapshotError` where the folder exists or a shard was changed, `UserError` where the format cannot hold
    the stage or any row.
    """
    check_format(form, snapshot.manifest.hashed.stage, parquet=parquet)
    parent = target.absolute().parent
    with exclusive(parent), unfinished(parent) as folder, plain_errors(target):
        if form is ExportFormat.PARQUET:
            exported = _copy(snapshot, folder, moved)
        else:
            exported = _Writing(snapshot, form, folder, find_rivals, moved).write(parquet=parquet)
        publish(folder, target)
    return Exported(files=tuple(sorted(target.iterdir())), rows=exported[0], lost=exported[1])


def _copy(snapshot: Snapshot, folder: Path, moved: Moved) -> tuple[int, dict[Loss, int]]:
    """Write the shards as they are."""
    hashed = snapshot.manifest.hashed
    done = 0
    for shard in hashed.shards:
        write_file(folder / PurePosixPath(shard.path).name, [snapshot.shard_bytes(shard)])
        done += shard.rows
        moved(done, hashed.rows)
    return hashed.rows, {}


class _Writing:
    """One export under way: counts rows, those of the snapshot and those of the files, and losses."""

    def __init__(
        self, snapshot: Snapshot, form: ExportFormat, folder: Path, find_rivals: FindRivals | None, moved: Moved
    ) -> None:
        self._snapshot = snapshot
        self._form = form
        self._folder = folder
        self._find_rivals = find_rivals
        self._moved = moved
        self._read = 0
        self._rows = 0
        self._lost: Counter[Loss] = Counter()

    def write(self, *, parquet: bool) -> tuple[int, dict[Loss, int]]:
        columns = self._columns()
        files: dict[str, str] = {}
        for split in self._snapshot.manifest.splits:
            rows = self._fitted(split)
            if (first := next(rows, None)) is None:
                continue
            files[split] = f"{split}.{'parquet' if parquet else 'jsonl'}"
            path, rows = self._folder / files[split], chain([first], rows)
            if parquet:
                _write_table(path, rows, columns)
            else:
                write_file(path, (orjson.dumps(row) + b"\n" for row in rows))
        if not files:
            raise UserError(self._nothing())
        if self._form not in FORMATS or FORMATS[self._form].tables:
            write_file(self._folder / CARD, [card(columns, files, self._snapshot.manifest.label).encode()])
        return self._rows, dict(sorted(self._lost.items()))

    def _columns(self) -> Columns:
        hashed = self._snapshot.manifest.hashed
        if self._form in FORMATS:
            return FORMATS[self._form].columns[hashed.stage]
        return columns_of(self._snapshot.schema())

    def _fitted(self, split: str) -> Iterator[Record]:
        """Yield the format's rows of a split, and count what is lost."""
        total = self._snapshot.manifest.hashed.rows
        for fitted in self._fit(self._snapshot.rows(split)):
            self._read += 1
            self._lost.update(fitted.lost)
            self._rows += len(fitted.rows)
            if self._read % _BATCH == 0 or self._read == total:
                self._moved(self._read, total)
            yield from fitted.rows

    def _fit(self, records: Iterable[Record]) -> Iterable[Fitted]:
        if self._form is not ExportFormat.PREFERENCE:
            format_ = FORMATS.get(self._form)
            return map(format_.fit if format_ and format_.fit else whole, records)
        if self._find_rivals is None:
            raise SnapshotError("preference pairs need the registry that the snapshot was built from")
        return pairs(records, self._find_rivals)

    def _nothing(self) -> str:
        label = self._snapshot.manifest.label
        if set(self._lost) == {Loss.UNKNOWN}:
            return (
                f"no row of {label} is known to this registry: preference pairs are made where the snapshot "
                "was built (KAT_DATABASE_URL or KAT_HOME says which registry)"
            )
        why = ", ".join(f"{name} ({count})" for name, count in self._lost.most_common() if name is not Loss.LABELS)
        return f"no row of {label} fits {self._form}: {why}"


def _write_table(path: Path, rows: Iterable[Record], columns: Columns) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema(columns)
    remaining = iter(rows)
    with synced(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := [as_text(row, columns) for row in islice(remaining, _BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
