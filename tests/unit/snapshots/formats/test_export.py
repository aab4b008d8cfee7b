"""Exports: every row once, JSON as values, and never over something else."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow.parquet
import pytest
import yaml

from kat_data.errors import SnapshotError
from kat_data.snapshots.formats.export import export
from kat_data.snapshots.formats.formats import ExportFormat
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import TrainingStage


@pytest.mark.parametrize("stage", TrainingStage)
def test_json_lines_hold_every_row_of_every_split(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot], stage: TrainingStage
) -> None:
    snapshot = make_snapshot(stage)
    exported = export(snapshot, ExportFormat.JSONL, tmp_path / "out")
    card, *files = exported.files
    assert [file.name for file in exported.files] == ["README.md", "test.jsonl", "train.jsonl"]
    assert (exported.rows, exported.lost) == (40, {})
    lines = [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert [line["id"] for line in lines] == [row["id"] for split in ("test", "train") for row in snapshot.rows(split)]
    assert all(isinstance(line["tools"], list) for line in lines)
    assert all("tool_calls" not in m or m["tool_calls"] for line in lines for m in line.get("messages", ()))
    features = yaml.safe_load(card.read_text().split("---")[1])["dataset_info"]["features"]
    assert [feature["name"] for feature in features] == list(lines[0])


def test_parquet_files_are_the_shards(tmp_path: Path, make_snapshot: Callable[..., Snapshot]) -> None:
    snapshot = make_snapshot(TrainingStage.STAGE2)
    exported = export(snapshot, ExportFormat.PARQUET, tmp_path / "out")
    assert sum(pyarrow.parquet.read_metadata(file).num_rows for file in exported.files) == snapshot.manifest.hashed.rows


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


@pytest.mark.parametrize("form", [ExportFormat.TRL, ExportFormat.PARQUET])
def test_progress_ends_with_every_row(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot], form: ExportFormat
) -> None:
    seen: list[tuple[int, int]] = []
    snapshot = make_snapshot(TrainingStage.STAGE2)
    export(snapshot, form, tmp_path / "out", moved=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40)
