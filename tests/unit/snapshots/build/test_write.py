"""Building: the same bytes from the same rows, versions that are never doubled, and nothing half done."""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kat_data.errors import SnapshotError
from kat_data.snapshots import schema
from kat_data.snapshots.build import shards
from kat_data.snapshots.build.shards import RECEIPT
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.folder import exclusive
from kat_data.snapshots.manifest import Parent
from kat_data.snapshots.read import names, open_snapshot, versions
from kat_data.snapshots.record import Row, TrainingStage
from kat_data.snapshots.verify.verify import verify

MakeSpec = Callable[..., SnapshotSpec]


@pytest.mark.parametrize("stage", TrainingStage)
def test_every_stage_is_written_whole(
    tmp_path: Path, rows: list[Row], make_spec: MakeSpec, stage: TrainingStage
) -> None:
    splits = {"train": rows[:30], "test": rows[30:]}
    written = write_snapshot(tmp_path, make_spec(stage=stage), splits, shard_bytes=5_000)
    assert written.label == "demo@1"
    assert verify(written.path).problems == ()
    snapshot = open_snapshot(written.path)
    assert snapshot.manifest == written.manifest
    assert snapshot.manifest.splits == {"train": 30, "test": 10}
    assert {row["id"] for row in snapshot.rows("test")} == {row.id for row in rows[30:]}
    assert [shard.path for shard in written.manifest.hashed.shards][:2] == [
        "data/train-00000.parquet",
        "data/train-00001.parquet",
    ]


def test_rows_are_not_stored_in_the_order_given(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    one = write_snapshot(tmp_path / "a", make_spec(), {"train": rows})
    other = write_snapshot(tmp_path / "b", make_spec(seed=8), {"train": rows})
    orders = [[row["id"] for row in open_snapshot(w.path).rows()] for w in (one, other)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    assert orders[0] != [row.id for row in rows]


def test_an_unchanged_snapshot_returns_its_version(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    first = write_snapshot(tmp_path, make_spec(), {"train": rows})
    second = write_snapshot(tmp_path, make_spec(), {"train": rows[:-1]})
    later = make_spec(
        built_at=datetime(2027, 1, 1, tzinfo=UTC),
        money={"usd": 9.0},
        notes="again",
        funnel=[],
        error_rates=[],
        decontamination=None,
    )
    again = write_snapshot(tmp_path, later, {"train": list(reversed(rows))})
    assert (first.existed, second.existed, again.existed) == (False, False, True)
    assert (first.label, second.label, again.label) == ("demo@1", "demo@2", "demo@1")
    assert again.manifest == first.manifest
    assert versions(tmp_path, "demo") == [1, 2]


def test_a_damaged_version_does_not_stop_the_next_build(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    first = write_snapshot(tmp_path, make_spec(), {"train": rows})
    (first.path / "manifest.json").write_text("{}")
    with pytest.raises(SnapshotError, match=r"demo/1: manifest\.json cannot be read"):
        open_snapshot(first.path)
    assert write_snapshot(tmp_path, make_spec(), {"train": rows}).label == "demo@2"


def test_versions_that_stand_elsewhere_are_kept_for_their_content(
    tmp_path: Path, rows: list[Row], make_spec: MakeSpec
) -> None:
    first = write_snapshot(tmp_path / "a", make_spec(), {"train": rows})
    known = {1: "0" * 64, 2: first.manifest.hashed.content_hash, 3: "1" * 64}
    assert write_snapshot(tmp_path / "b", make_spec(), {"train": rows}, known=known).label == "demo@2"
    assert write_snapshot(tmp_path / "b", make_spec(), {"train": rows[1:]}, known=known).label == "demo@4"
    assert write_snapshot(tmp_path / "a", make_spec(), {"train": rows}, known=known).label == "demo@1"


def test_a_changed_recipe_is_another_snapshot(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    write_snapshot(tmp_path, make_spec(), {"train": rows})
    assert write_snapshot(tmp_path, make_spec(recipe={"name": "other"}), {"train": rows}).label == "demo@2"


def test_the_same_sample_twice_is_stored_once_and_counted(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    doubled = [*rows, replace(rows[0], lineage="0" * 64)]
    random.Random(3).shuffle(doubled)
    hashed = write_snapshot(tmp_path / "a", make_spec(), {"train": doubled}).manifest.hashed
    assert (hashed.rows, hashed.duplicates) == (len(rows), 1)
    assert write_snapshot(tmp_path / "b", make_spec(), {"train": doubled[::-1]}).manifest.hashed == hashed


@pytest.mark.parametrize("split", ["test-hard", "all", "Test", ""])
def test_what_datasets_takes_for_no_split_is_refused(
    tmp_path: Path, rows: list[Row], make_spec: MakeSpec, split: str
) -> None:
    with pytest.raises(SnapshotError, match=rf"`{split}` cannot name a split"):
        write_snapshot(tmp_path, make_spec(), {"train": rows[:30], split: rows[30:]})
    assert list(tmp_path.iterdir()) == []


def test_two_splits_never_share_a_row(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    with pytest.raises(SnapshotError, match="in the splits train and test"):
        write_snapshot(tmp_path, make_spec(), {"train": rows, "test": rows[:1]})


def test_no_rows_is_an_error(tmp_path: Path, make_spec: MakeSpec) -> None:
    with pytest.raises(SnapshotError, match="no row for demo"):
        write_snapshot(tmp_path, make_spec(), {"train": []})


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Demo", "demo@1", ".hidden"])
def test_a_name_is_one_safe_word(tmp_path: Path, rows: list[Row], make_spec: MakeSpec, name: str) -> None:
    with pytest.raises(SnapshotError, match="cannot be a name"):
        write_snapshot(tmp_path, make_spec(name=name), {"train": rows})
    with pytest.raises(SnapshotError, match="cannot name a split"):
        write_snapshot(tmp_path, make_spec(), {name: rows})


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount or not umount:
        pytest.skip("there is no mount command")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=160k", "none", str(disk)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run([umount, str(disk)], check=True)


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    tiny_disk: Path, rows: list[Row], make_spec: MakeSpec
) -> None:
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=200_000))
    turn = replace(rows[0].sample.turns[0], answer=noise)
    big = replace(rows[0], sample=replace(rows[0].sample, turns=(turn,)))
    with pytest.raises(
        SnapshotError, match=r"no space left for .*demo: nothing was written; free some space"
    ) as caught:
        write_snapshot(tiny_disk, make_spec(), {"train": [*rows[1:], big]}, shard_bytes=2_000)
    assert "\n" not in str(caught.value)
    assert list(tiny_disk.iterdir()) == []
    assert write_snapshot(tiny_disk, make_spec(), {"train": rows[:5]}).label == "demo@1"


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SnapshotError, match="cannot write in "):
        write_snapshot(tmp_path / "file", make_spec(), {"train": rows})


class Press:
    """Writes shards, notes which, and breaks off in the middle of one where that is asked for."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.breaks_off_at = ""

    def __call__(self, path: Path, *arguments: Any) -> Iterator[int]:
        if path.name == self.breaks_off_at:
            path.write_bytes(b"PAR1 and no more")
            raise KeyboardInterrupt
        self.written.append(path.name)
        yield from schema.write_parquet(path, *arguments)


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch) -> Press:
    press = Press()
    monkeypatch.setattr(shards, "write_parquet", press)
    return press


def test_an_error_in_the_first_shard_leaves_nothing(
    tmp_path: Path, rows: list[Row], make_spec: MakeSpec, press: Press
) -> None:
    press.breaks_off_at = "train-00000.parquet"
    with pytest.raises(KeyboardInterrupt):
        write_snapshot(tmp_path, make_spec(), {"train": rows}, shard_bytes=5_000)
    assert list(tmp_path.iterdir()) == []


def test_finished_shards_are_taken_over(tmp_path: Path, rows: list[Row], make_spec: MakeSpec, press: Press) -> None:
    press.breaks_off_at = "train-00002.parquet"
    with pytest.raises(KeyboardInterrupt):
        write_snapshot(tmp_path / "a", make_spec(), {"train": rows}, shard_bytes=5_000)
    assert names(tmp_path / "a") == []
    press.breaks_off_at = ""
    whole = write_snapshot(tmp_path / "b", make_spec(), {"train": rows}, shard_bytes=5_000)
    press.written.clear()
    taken_over = write_snapshot(tmp_path / "a", make_spec(), {"train": rows}, shard_bytes=5_000)
    assert press.written[0] == "train-00002.parquet"
    assert taken_over.manifest == whole.manifest
    assert verify(taken_over.path).problems == ()
    assert [path.name for path in (tmp_path / "a" / "demo").iterdir()] == ["1"]


@pytest.mark.parametrize("change", ["rows", "stage", "damage", "receipt"])
def test_a_shard_of_another_plan_is_written_anew(
    tmp_path: Path, rows: list[Row], make_spec: MakeSpec, press: Press, change: str
) -> None:
    press.breaks_off_at = "train-00002.parquet"
    with pytest.raises(KeyboardInterrupt):
        write_snapshot(tmp_path, make_spec(), {"train": rows}, shard_bytes=5_000)
    press.breaks_off_at, press.written = "", []
    (first,) = tmp_path.rglob("train-00000.parquet")
    changed = [replace(row, licence="CC0-1.0") for row in rows] if change == "rows" else rows
    stage = TrainingStage.STAGE1 if change == "stage" else TrainingStage.STAGE2
    if change == "damage":
        first.write_bytes(first.read_bytes()[:-1] + b"?")
    if change == "receipt":
        (first.parent / f"{first.name}{RECEIPT}").write_text("{}")
    written = write_snapshot(tmp_path, make_spec(stage=stage), {"train": changed}, shard_bytes=5_000)
    assert press.written[0] == "train-00000.parquet"
    assert verify(written.path).problems == ()


def test_two_builders_of_one_name_exclude_each_other(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    with exclusive(tmp_path / "demo"), pytest.raises(SnapshotError, match="another process is writing"):
        write_snapshot(tmp_path, make_spec(), {"train": rows})


def test_a_mixture_is_taken_over_all_splits_by_the_seed(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    recipe = {"stages": [{"select": {"counts": {"category=math": 4, "category=code": 99}}}]}
    splits = {"train": rows[:30], "test": rows[30:]}
    written = write_snapshot(tmp_path, make_spec(recipe=recipe), splits)
    held = {row["id"]: row["category"] for row in open_snapshot(written.path).rows()}
    codes = {row.id for row in rows if row.category == "code"}
    assert {ident for ident, category in held.items() if category == "code"} == codes
    assert sum(category == "math" for category in held.values()) == 4
    assert written.surplus == written.manifest.unhashed.surplus == len(rows) - len(held)
    other = write_snapshot(tmp_path / "other", make_spec(recipe=recipe), {name: s[::-1] for name, s in splits.items()})
    assert other.manifest.hashed == written.manifest.hashed
    taken = [
        write_snapshot(tmp_path / str(seed), make_spec(recipe=recipe, seed=seed), {"train": rows}) for seed in range(3)
    ]
    assert len({frozenset(row["id"] for row in open_snapshot(each.path).rows()) for each in taken}) > 1
    with pytest.raises(SnapshotError, match="the mixture selects none"):
        write_snapshot(
            tmp_path / "none", make_spec(recipe={"stages": [{"select": {"counts": {"mode=on": 0}}}]}), splits
        )


def test_a_version_names_the_one_before_it(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    first = write_snapshot(tmp_path, make_spec(), {"train": rows})
    second = write_snapshot(tmp_path, make_spec(), {"train": rows[1:]})
    assert first.manifest.unhashed.parent is None
    assert second.manifest.unhashed.parent == open_snapshot(first.path).reference
    known = {1: first.manifest.hashed.content_hash, 4: "1" * 64}
    fifth = write_snapshot(tmp_path / "b", make_spec(), {"train": rows[2:]}, known=known)
    assert fifth.manifest.unhashed.parent == Parent(label="demo@4", content_hash="1" * 64)
    other = write_snapshot(tmp_path, make_spec(name="fork", parent=second.manifest.unhashed.parent), {"train": rows})
    assert other.manifest.unhashed.parent == Parent(label="demo@1", content_hash=known[1])
    assert open_snapshot(other.path).manifest == other.manifest


def test_a_parent_is_no_part_of_the_content(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    parent = Parent(label="old@3", content_hash="0" * 64)
    hashes = {
        write_snapshot(tmp_path / name, make_spec(parent=given), {"train": rows}).manifest.hashed.content_hash
        for name, given in (("a", None), ("b", parent))
    }
    assert len(hashes) == 1


def test_a_damaged_version_before_is_nobodys_parent(tmp_path: Path, rows: list[Row], make_spec: MakeSpec) -> None:
    first = write_snapshot(tmp_path, make_spec(), {"train": rows})
    (first.path / "manifest.json").write_text("{}")
    assert write_snapshot(tmp_path, make_spec(), {"train": rows}).manifest.unhashed.parent is None
