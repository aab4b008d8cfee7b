"""Snapshots whose rows the unit tests make, and a quiet Hugging Face."""

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import TrainingStage

SPLITS = ("train", "validation", "test")
ROWS = Path(__file__).parents[2] / "unit" / "snapshots" / "conftest.py"


def _rows() -> ModuleType:
    spec = importlib.util.spec_from_file_location("snapshot_rows", ROWS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(root: Path, stage: TrainingStage, name: str, first: int, splits: tuple[str, str, str] = SPLITS) -> Snapshot:
    rows = [_rows().make_row(number) for number in range(first, first + 60)]
    spec = SnapshotSpec(name=name, stage=stage, seed=7, recipe={"a": 1}, built_at=datetime(2026, 1, 1, tzinfo=UTC))
    parts = dict(zip(splits, (rows[:40], rows[40:50], rows[50:]), strict=True))
    return open_snapshot(write_snapshot(root, spec, parts, shard_bytes=20_000).path)


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Snapshot]:
    """Build a snapshot of 60 rows in three splits and several shards."""

    def build_(
        stage: TrainingStage = TrainingStage.STAGE2,
        *,
        name: str = "demo",
        first: int = 1,
        splits: tuple[str, str, str] = SPLITS,
    ) -> Snapshot:
        return _build(tmp_path / "snapshots", stage, name, first, splits)

    return build_


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Snapshot]:
    """Two versions of one snapshot, with some rows in common, for tests that leave them as they are."""
    root = tmp_path_factory.mktemp("sums")
    return _build(root, TrainingStage.STAGE2, "sums", 1), _build(root, TrainingStage.STAGE2, "sums", 31)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The first version of `sums` as another machine has it: with other rows."""
    return _build(tmp_path_factory.mktemp("stranger"), TrainingStage.STAGE2, "sums", 200)
