"""Reading: names, versions, labels, and shards that are trusted only when they match."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset
import pytest

from kat_data.errors import NotFoundError, SnapshotError
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.read import find, names, open_snapshot, versions
from kat_data.snapshots.record import Row

MakeSpec = Callable[..., SnapshotSpec]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], make_spec: MakeSpec) -> Path:
    folder = tmp_path_factory.mktemp("built")
    for count in range(1, 12):
        write_snapshot(folder, make_spec(), {"train": rows[:count]})
    write_snapshot(folder, make_spec(name="another"), {"train": rows})
    (folder / "demo" / "notes").mkdir()
    (folder / "demo" / "99").mkdir()
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_names_and_versions_are_listed_in_order(root: Path) -> None:
    assert names(root) == ["another", "demo"]
    assert versions(root, "demo") == list(range(1, 12))
    assert (names(root / "nowhere"), versions(root, "nothing")) == ([], [])


@pytest.mark.parametrize(
    ("label", "version"), [("demo", "11"), ("demo@latest", "11"), ("demo@2", "2"), ("demo@11", "11")]
)
def test_a_label_finds_its_folder(root: Path, label: str, version: str) -> None:
    assert find(root, label) == root / "demo" / version


@pytest.mark.parametrize("label", ["demo@99", "demo@0", "demo@x", "nothing", "../demo", "", "empty@latest"])
def test_an_unknown_label_names_what_there_is(root: Path, label: str) -> None:
    with pytest.raises(NotFoundError, match=r"there are: another@1, demo@1, "):
        find(root, label)


def test_a_changed_shard_is_never_read(root: Path) -> None:
    snapshot = open_snapshot(find(root, "demo@2"))
    shard = snapshot.path / snapshot.manifest.hashed.shards[0].path
    shard.write_bytes(shard.read_bytes() + b" ")
    with pytest.raises(SnapshotError, match="was changed after it was written"):
        list(snapshot.rows())
    shard.unlink()
    with pytest.raises(SnapshotError, match="cannot be read"):
        list(snapshot.rows())


def test_shards_are_plain_parquet(root: Path) -> None:
    folder = find(root, "another")
    table = pyarrow.dataset.dataset(folder / "data", format="parquet").to_table()
    assert table.to_pylist() == list(open_snapshot(folder).rows())
    assert {"id", "messages", "turns", "tools", "mode", "lineage"} <= set(table.column_names)
