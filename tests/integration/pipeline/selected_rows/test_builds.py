"""Builds in processes of their own: the same bytes from each, and nothing half done by one that is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kat_data.registry.session import Registry
from kat_data.snapshots.read import names
from kat_data.snapshots.verify.verify import verify
from kat_data.testing.stored_run import an_accepted, store_run

ROWS = Path(__file__).parents[3] / "unit" / "snapshots"  # whose conftest makes the rows

BUILD = """
import random, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import make_row
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
rows = [make_row(number) for number in range(1, 41)]
random.Random(int(sys.argv[3])).shuffle(rows)
spec = SnapshotSpec(name="demo", stage=TrainingStage.STAGE2, seed=7, recipe={"b": 1, "a": 2},
                    built_at=datetime(2026, 1, 1, tzinfo=UTC))
write_snapshot(Path(sys.argv[2]), spec, {"train": rows[:]}, shard_bytes=8_000)
"""


# Python tells of every file that it opens: shards when they are written and are to be synced, the rest before.
CRASH = """
import os, signal, sys
def die(event, arguments):
    if event == "open" and str(arguments[0]).endswith(VICTIM) and "r" != arguments[1]:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
"""

BUILD_STORED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from kat_data.pipeline.selected_rows import select_rows
from kat_data.registry.session import Registry
from kat_data.snapshots.build import shards
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.build.write import SnapshotSpec, build_snapshot
url, root = sys.argv[1:]
original = shards.write_parquet
def noted(path, *arguments):
    print(path.name, flush=True)
    return original(path, *arguments)
shards.write_parquet = noted
spec = SnapshotSpec(name="demo", stage=TrainingStage.STAGE2, seed=7, recipe={}, splits={"test": 9},
                    built_at=datetime(2026, 1, 1, tzinfo=UTC))
with Registry(url) as registry, select_rows(registry, 1, spec, print, shard_bytes=8_000) as plan:
    build_snapshot(Path(root), spec, plan)
"""


def build(folder: Path, seed: str) -> None:
    """Build with rows in the order of `seed`."""
    command = [sys.executable, "-c", BUILD, str(ROWS), str(folder), seed]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        build(tmp_path / seed, seed)
    first, second = (contents(tmp_path / seed) for seed in ("1", "2"))
    assert first == second
    assert sum(name.endswith(".parquet") for name in first) > 2


@pytest.fixture
def build_stored(registry: Registry, tmp_path: Path) -> Callable[..., list[str]]:
    """Build a snapshot of what is stored in a process of its own, and return the shards that it wrote."""

    def build_(into: str, *, victim: str | None = None) -> list[str]:
        program = f"VICTIM = {victim!r}\n{CRASH}{BUILD_STORED}" if victim else BUILD_STORED
        command = [sys.executable, "-c", program, registry.url, str(tmp_path / into)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ended.returncode == (-signal.SIGKILL if victim else 0), ended.stderr
        return [line for line in ended.stdout.splitlines() if line.endswith(".parquet")]

    return build_


@pytest.mark.integration
def test_a_killed_build_shows_nothing_and_the_next_one_goes_on(
    registry: Registry, build_stored: Callable[..., list[str]], tmp_path: Path
) -> None:
    store_run(registry, (an_accepted(number) for number in range(60)), rendered=False)
    shards = build_stored("undisturbed")
    assert shards[:3] == ["train-00000.parquet", "train-00001.parquet", "train-00002.parquet"]
    assert shards[-1].startswith("test-")
    wanted = contents(tmp_path / "undisturbed")
    for victim in ("train-00000.parquet", "train-00002.parquet.done", "composition.png", "manifest.json"):
        root = tmp_path / victim
        build_stored(victim, victim=victim)
        assert names(root) == []
        assert not any(path.suffix == ".json" for path in root.rglob("*"))
        finished = [name for name in shards if next(root.rglob(f"{name}.done"), None)]
        assert build_stored(victim) == [name for name in shards if name not in finished]
        assert contents(root) == wanted
        assert [path.name for path in (root / "demo").iterdir()] == ["1"]
    assert verify(root / "demo" / "1").ok
