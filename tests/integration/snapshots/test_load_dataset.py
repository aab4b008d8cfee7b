"""What Hugging Face `datasets` makes of a snapshot's folder, and of exports of it."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from kat_data.snapshots.formats.export import export
from kat_data.snapshots.formats.formats import FORMATS, ExportFormat
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.schema import arrow_schema
from kat_data.testing.hub_server import HubServer

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that datasets loads
SPLITS = {"train": 40, "validation": 10, "test": 10}


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Path], Any]:
    datasets.disable_progress_bars()
    return lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("stage", TrainingStage)
def test_a_snapshot_loads_as_it_is(build: Callable[..., Snapshot], load: Any, stage: TrainingStage) -> None:
    snapshot = build(stage)
    loaded = load(snapshot.path)
    assert {split: len(rows) for split, rows in loaded.items()} == SPLITS
    assert list(loaded["train"].features) == arrow_schema(stage).names
    for split, rows in loaded.items():
        assert list(rows) == list(snapshot.rows(split))


def test_a_split_whose_name_begins_with_anothers_keeps_its_rows(build: Callable[..., Snapshot], load: Any) -> None:
    snapshot = build(splits=("train", "test_hard", "test"))
    found = {split: list(rows) for split, rows in load(snapshot.path).items()}
    assert found == {split: list(snapshot.rows(split)) for split in ("train", "test_hard", "test")}


@pytest.mark.parametrize("form", [ExportFormat.JSONL, *(f for f in FORMATS if FORMATS[f].fit and FORMATS[f].tables)])
@pytest.mark.parametrize("parquet", [False, True])
def test_exports_load_as_they_were_written(
    tmp_path: Path, build: Callable[..., Snapshot], load: Any, form: ExportFormat, parquet: bool
) -> None:
    stage = TrainingStage.STAGE3 if form is ExportFormat.RL else TrainingStage.STAGE2
    snapshot = build(stage)
    lines = export(snapshot, form, tmp_path / "lines")
    said = {f.stem: [orjson.loads(x) for x in f.read_bytes().splitlines()] for f in lines.files if f.suffix == ".jsonl"}
    folder = tmp_path / "tables" if parquet else tmp_path / "lines"
    if parquet:
        export(snapshot, form, folder, parquet=True)
    loaded = load(folder)
    assert {split: list(rows) for split, rows in loaded.items()} == said


def test_rows_whose_calls_come_late_load_too(tmp_path: Path, build: Callable[..., Snapshot], load: Any) -> None:
    """A reader that guesses by the first rows alone takes messages for pairs of role and content."""
    snapshot = build()
    export(snapshot, ExportFormat.TRL, tmp_path / "out")
    file = tmp_path / "out" / "train.jsonl"
    rows = sorted(file.read_bytes().splitlines(keepends=True), key=lambda line: b"tool_calls" in line)
    plain = [row for row in rows if b"tool_calls" not in row]
    file.write_bytes(b"".join([*(plain * (12_000_000 // len(b"".join(plain)))), *rows]))
    loaded = load(tmp_path / "out")["train"]
    assert loaded[len(loaded) - 1] == orjson.loads(rows[-1])


LOADED = """
import datasets, sys
whole = datasets.load_dataset("acme/sums", revision=sys.argv[1])
first = next(iter(datasets.load_dataset("acme/sums", revision=sys.argv[1], split="test", streaming=True)))
print({split: len(rows) for split, rows in whole.items()}, first["id"])
"""


def test_what_was_pushed_to_the_hub_loads_by_its_name(sums: tuple[Snapshot, Snapshot], tmp_path: Path) -> None:
    """In a process of its own, as `datasets` reads the endpoint when it is imported."""
    with HubServer() as hub:
        environ = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
        environ |= {"HF_HUB_DOWNLOAD_TIMEOUT": "60", "HF_HUB_ETAG_TIMEOUT": "60"}  # of a busy machine
        environ = os.environ | environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        for command in (PUSHED, LOADED):
            places = [str(snapshot.path) for snapshot in sums] if command is PUSHED else ["v1"]
            done = subprocess.run(
                [sys.executable, "-c", command, *places], env=environ, check=False, capture_output=True, text=True
            )
    assert done.returncode == 0, done.stderr[-3_000:]
    first = next(sums[0].rows("test"))["id"]
    assert done.stdout.strip() == f"{SPLITS} {first}"


PUSHED = """
import sys
from pathlib import Path
from kat_data.snapshots.places.push import push
from kat_data.snapshots.read import open_snapshot
for folder in sys.argv[1:]:
    push(open_snapshot(Path(folder)), "hf://datasets/acme/sums")
"""
