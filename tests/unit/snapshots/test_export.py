"""Exports: every row once, JSON as values, and never over something else."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow.parquet
import pytest

from kat_data.errors import SnapshotError
from kat_data.snapshots.export import ExportFormat, export
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import Row, TrainingStage
from kat_data.snapshots.write import SnapshotSpec, write_snapshot


@pytest.fixture
def make_snapshot(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> Callable[..., Snapshot]:
    def make(stage: TrainingStage) -> Snapshot:
        splits = {"train": rows[:30], "test": rows[30:]}
        return open_snapshot(write_snapshot(tmp_path, make_spec(stage=stage), splits, shard_bytes=20_000).path)

    return make


@pytest.mark.parametrize("stage", TrainingStage)
def test_json_lines_hold_every_row_of_every_split(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot], stage: TrainingStage
) -> None:
    snapshot = make_snapshot(stage)
    files = export(snapshot, ExportFormat.JSONL, tmp_path / "out")
    assert [file.name for file in files] == ["test.jsonl", "train.jsonl"]
    lines = [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert [line["id"] for line in lines] == [row["id"] for split in ("test", "train") for row in snapshot.rows(split)]
    assert all(isinstance(line["tools"], list) for line in lines)
    assert all("tool_calls" not in m or m["tool_calls"] for line in lines for m in line.get("messages", ()))


def test_parquet_files_are_the_shards(tmp_path: Path, make_snapshot: Callable[..., Snapshot]) -> None:
    snapshot = make_snapshot(TrainingStage.STAGE2)
    files = export(snapshot, ExportFormat.PARQUET, tmp_path / "out")
    assert sum(pyarrow.parquet.read_metadata(file).num_rows for file in files) == snapshot.manifest.hashed.rows


def test_an_export_never_overwrites(tmp_path: Path, make_snapshot: Callable[..., Snapshot]) -> None:
    snapshot = make_snapshot(TrainingStage.STAGE2)
    (tmp_path / "out").mkdir()
    with pytest.raises(SnapshotError, match="exists already"):
        export(snapshot, ExportFormat.JSONL, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo", "out"]


def test_a_changed_shard_is_not_exported(tmp_path: Path, make_snapshot: Callable[..., Snapshot]) -> None:
    snapshot = make_snapshot(TrainingStage.STAGE2)
    shard = snapshot.path / snapshot.manifest.hashed.shards[-1].path
    shard.write_bytes(shard.read_bytes()[::-1])
    with pytest.raises(SnapshotError, match="was changed"):
        export(snapshot, ExportFormat.JSONL, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["demo"]
