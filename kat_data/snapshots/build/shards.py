"""Shards of a build: planned beforehand, written one by one, and taken over from a build that did not come to its end.

Beside a finished shard stands its receipt: what went in, as a digest, and what came out. A build that finds a shard
whose receipt is that of its own plan leaves it as it is. Receipts go before the snapshot appears.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from kat_data.errors import SnapshotError
from kat_data.hashing import content_hash
from kat_data.snapshots.folder import write_file
from kat_data.snapshots.manifest import Shard, shard_path
from kat_data.snapshots.record import SCHEMA_VERSION, TrainingStage
from kat_data.snapshots.schema import write_parquet, writer_versions

if TYPE_CHECKING:
    import pyarrow as pa

RECEIPT: Final = ".done"
"""What the name of a shard's receipt ends in."""

OnRows = Callable[[int], None]
"""Told of rows as they are written, and of those that need no writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShard:
    """One shard to be: its place, how many rows it takes, and what tells these rows from others."""

    split: str
    number: int
    rows: int
    inputs: str

    @property
    def path(self) -> str:
        """Where it stands in the snapshot's folder."""
        return shard_path(self.split, self.number)


class Plan(Protocol):
    """Which rows go into a snapshot, in which order and shards.

    `duplicates` counts rows left out because another holds the same sample, `surplus` those that the mixture does not
    take.
    """

    @property
    def duplicates(self) -> int: ...

    @property
    def surplus(self) -> int: ...

    @property
    def shards(self) -> Sequence[PlannedShard]:
        """The shards, those of a split together and in order."""

    def batches(self, shard: PlannedShard) -> "Iterable[pa.RecordBatch]":
        """Yield the shard's rows in order, as `schema.rendered_schema` has them."""


def write_shards(folder: Path, plan: Plan, stage: TrainingStage, on_rows: OnRows) -> tuple[Shard, ...]:
    """Write the shards that are not there yet, and remove whatever else an earlier build left in the folder."""
    context = content_hash([stage, SCHEMA_VERSION, writer_versions()]).hex()
    finished = dict(_finished(folder, plan.shards, context))
    _clear(folder, finished)
    (folder / "data").mkdir(exist_ok=True)
    written = []
    for planned in plan.shards:
        if planned.path in finished:
            on_rows(planned.rows)
        else:
            finished[planned.path] = _write(folder, plan, planned, stage, on_rows)
            receipt = {"inputs": planned.inputs, "context": context, "shard": asdict(finished[planned.path])}
            write_file(_receipt(folder, planned), [orjson.dumps(receipt)])
        written.append(finished[planned.path])
    return tuple(written)


def clear_receipts(folder: Path) -> None:
    """Remove the receipts: what is left is the snapshot."""
    for path in (folder / "data").glob(f"*{RECEIPT}"):
        path.unlink()


def _write(folder: Path, plan: Plan, planned: PlannedShard, stage: TrainingStage, on_rows: OnRows) -> Shard:
    path, rows = folder / planned.path, 0
    for count in write_parquet(path, plan.batches(planned), stage):
        rows += count
        on_rows(count)
    if rows != planned.rows:
        raise SnapshotError(f"{planned.path} was to have {planned.rows} rows and got {rows}: build the snapshot again")
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        digest = file_digest(file, "sha256").hexdigest()
    return Shard(path=planned.path, split=planned.split, rows=rows, bytes=path.stat().st_size, sha256=digest)


def _finished(folder: Path, planned: Iterable[PlannedShard], context: str) -> Iterator[tuple[str, Shard]]:
    """Yield the shards that are there already, by path; one that is not what its receipt says is none."""
    for one in planned:
        with suppress(OSError, ValueError, KeyError, TypeError):
            receipt: Mapping[str, Any] = orjson.loads(_receipt(folder, one).read_bytes())
            shard = Shard(**receipt["shard"])
            with (folder / one.path).open("rb") as file:
                intact = file_digest(file, "sha256").hexdigest() == shard.sha256
            if intact and (receipt["inputs"], receipt["context"]) == (one.inputs, context):
                yield one.path, shard


def _clear(folder: Path, finished: Mapping[str, Shard]) -> None:
    kept = {name for path in finished for name in (path, path + RECEIPT)}
    for path in [path for path in folder.rglob("*") if not path.is_dir()]:
        if path.relative_to(folder).as_posix() not in kept:
            path.unlink()


def _receipt(folder: Path, planned: PlannedShard) -> Path:
    return folder / (planned.path + RECEIPT)
