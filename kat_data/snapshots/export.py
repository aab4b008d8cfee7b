"""Export a snapshot's rows as JSON Lines or as plain Parquet files, whole or not at all."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path, PurePosixPath

import orjson

from kat_data.snapshots.folder import exclusive, publish, unfinished, write_file
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import OPTIONAL_FIELDS, Record


class ExportFormat(StrEnum):
    """What the exported files are: `jsonl` has one file a split, `parquet` the shards as they are."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def export(snapshot: Snapshot, form: ExportFormat, target: Path) -> list[Path]:
    """Write the rows into the new folder `target` and return its files; raises `SnapshotError` where it exists."""
    parent = target.absolute().parent
    with exclusive(parent), unfinished(parent) as folder:
        for name, parts in _files(snapshot, form):
            write_file(folder / name, parts)
        publish(folder, target)
    return sorted(target.iterdir())


def _files(snapshot: Snapshot, form: ExportFormat) -> Iterator[tuple[str, Iterable[bytes]]]:
    if form is ExportFormat.PARQUET:
        for shard in snapshot.manifest.hashed.shards:
            yield PurePosixPath(shard.path).name, [snapshot.shard_bytes(shard)]
        return
    for split in snapshot.manifest.splits:
        yield f"{split}.jsonl", (orjson.dumps(_plain(row)) + b"\n" for row in snapshot.rows(split))


def _plain(record: Record) -> Record:
    """The record with JSON columns as values and no empty fields in messages: what chat libraries read."""
    plain = {**record, "tools": orjson.loads(record["tools"])}
    for column in ("messages", "prompt", "completion"):
        if column in plain:
            plain[column] = [{k: v for k, v in m.items() if k not in OPTIONAL_FIELDS or v} for m in plain[column]]
    if verifier := plain.get("verifier"):
        plain["verifier"] = {**verifier, "options": orjson.loads(verifier["options"])}
    return plain
