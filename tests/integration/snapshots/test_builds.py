"""Builds in processes of their own: the same bytes from each, and nothing half done by one that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kat_data.snapshots.read import names, open_snapshot
from kat_data.snapshots.verify import verify

ROWS = Path(__file__).parents[2] / "unit" / "snapshots"  # whose conftest makes the rows

BUILD = """
import random, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import make_row
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.write import SnapshotSpec, write_snapshot
rows = [make_row(number) for number in range(1, 41)]
random.Random(int(sys.argv[3])).shuffle(rows)
spec = SnapshotSpec(name="demo", stage=TrainingStage.STAGE2, seed=7, recipe={"b": 1, "a": 2},
                    built_at=datetime(2026, 1, 1, tzinfo=UTC))
write_snapshot(Path(sys.argv[2]), spec, {"train": rows[:]}, shard_bytes=8_000)
"""


CRASH = BUILD.replace(
    "rows = [",
    """
import os, signal
from kat_data.snapshots import write
original = write.write_file
def dying(path, parts):
    if path.name == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)
    original(path, parts)
write.write_file = dying
rows = [""",
)


def build(program: str, folder: Path, seed: str, *arguments: str) -> int:
    """Build with rows in the order of `seed`; return how the process ended."""
    command = [sys.executable, "-c", program, str(ROWS), str(folder), seed, *arguments]
    return subprocess.run(command, check=False, env={**os.environ, "PYTHONHASHSEED": seed}).returncode


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    assert [build(BUILD, tmp_path / seed, seed) for seed in ("1", "2")] == [0, 0]
    first, second = (contents(tmp_path / seed) for seed in ("1", "2"))
    assert first == second
    assert sum(name.endswith(".parquet") for name in first) > 2


@pytest.mark.parametrize("victim", ["train-00001.parquet", "composition.png", "README.md", "manifest.json"])
def test_a_killed_build_shows_nothing_and_the_next_one_clears_up(tmp_path: Path, victim: str) -> None:
    assert build(CRASH, tmp_path, "1", victim) == -signal.SIGKILL
    assert names(tmp_path) == []
    assert len(list((tmp_path / "demo").iterdir())) == 1
    assert build(BUILD, tmp_path, "1") == 0
    assert [p.name for p in (tmp_path / "demo").iterdir()] == ["1"]
    assert verify(tmp_path / "demo" / "1").ok
    assert open_snapshot(tmp_path / "demo" / "1").manifest.splits == {"train": 40}
