"""Aliases and notes: what stands beside versions, who may name what, and nothing lost when many write at once."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from kat_data.errors import NotFoundError, SnapshotError, UserError
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.folder import exclusive
from kat_data.snapshots.read import find, versions
from kat_data.snapshots.record import Row
from kat_data.snapshots.versions.aliases import remove_alias, set_alias
from kat_data.snapshots.versions.history import HISTORY, Move, Note, read_history
from kat_data.snapshots.versions.listing import entries
from kat_data.snapshots.versions.notes import add_note

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHO = {"by": "ann", "at": AT}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> Path:
    folder = tmp_path_factory.mktemp("built")
    for count in (3, 4, 5):
        write_snapshot(folder, make_spec(notes=f"of {count}"), {"train": rows[:count]})
    return folder


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_an_alias_is_a_label_and_moves_with_its_history(root: Path) -> None:
    assert set_alias(root, "demo@2", "prod", **WHO, note="first").to_version == 2
    assert find(root, "demo@prod") == root / "demo" / "2"
    assert set_alias(root, "demo", "prod", **WHO) == Move(
        alias="prod", from_version=2, to_version=3, by="ann", at="2026-03-01T12:00:00+00:00"
    )
    assert set_alias(root, "demo@prod", "stable", **WHO).to_version == 3
    assert set_alias(root, "demo@3", "prod", **WHO) is None
    remove_alias(root, "demo", "prod", **WHO)
    history = read_history(root / "demo")
    assert history.aliases == {"stable": 3}
    moves = [(event.alias, event.from_version, event.to_version) for event in history.events]
    assert moves == [("prod", None, 2), ("prod", 2, 3), ("stable", None, 3), ("prod", 3, None)]
    with pytest.raises(NotFoundError, match=r"no snapshot demo@prod .*: demo@1, demo@2, demo@3, demo@stable"):
        find(root, "demo@prod")


def test_removing_what_is_not_there_leaves_nothing(root: Path) -> None:
    with pytest.raises(NotFoundError, match="demo has no alias 'prod'; demo has: none"):
        remove_alias(root, "demo", "prod", **WHO)
    assert not (root / "demo" / HISTORY).exists()


@pytest.mark.parametrize("alias", ["latest", "7", "07", "", "Prod", "a@b", "../x", "x" * 65, "٣"])
def test_what_could_be_taken_for_something_else_is_no_alias(root: Path, alias: str) -> None:
    with pytest.raises(UserError, match="cannot be an alias"):
        set_alias(root, "demo@2", alias, **WHO)
    assert not (root / "demo" / HISTORY).exists()


def test_an_alias_of_nothing_is_refused(root: Path) -> None:
    with pytest.raises(NotFoundError, match="no snapshot demo@9"):
        set_alias(root, "demo@9", "prod", **WHO)
    set_alias(root, "demo@2", "prod", **WHO)
    with pytest.raises(NotFoundError, match=r"no alias 'test'; demo has: prod \(2\)"):
        remove_alias(root, "demo", "test", **WHO)
    with pytest.raises(NotFoundError, match="demo@3 has no alias 'prod'"):
        remove_alias(root, "demo@3", "prod", **WHO)
    (root / "demo" / "2").rename(root / "gone")
    with pytest.raises(NotFoundError, match="stands for demo@2, which is gone"):
        find(root, "demo@prod")


def test_notes_stand_beside_the_version(root: Path) -> None:
    before = {path: path.read_bytes() for path in (root / "demo" / "2").rglob("*") if path.is_file()}
    add_note(root, "demo@2", " trained v7 on it ", **WHO)
    add_note(root, "demo@2", "v7 is good", **WHO)
    set_alias(root, "demo@2", "prod", **WHO)
    assert {path: path.read_bytes() for path in before} == before
    one, two, three = entries(root)
    assert [entry.note for entry in (one, two, three)] == ["of 3", "v7 is good", "of 5"]
    assert [note.note for note in two.notes] == ["trained v7 on it", "v7 is good"]
    assert [entry.aliases for entry in (one, two, three)] == [(), ("prod",), ("latest",)]
    with pytest.raises(UserError, match="empty"):
        add_note(root, "demo@2", "  ", **WHO)


def test_an_alias_can_be_moved_while_a_build_holds_the_folder(root: Path) -> None:
    with exclusive(root / "demo"):
        set_alias(root, "demo@1", "prod", **WHO)
    assert find(root, "demo@prod").name == "1"


def test_a_line_that_was_cut_off_does_not_count_and_goes(root: Path) -> None:
    set_alias(root, "demo@2", "prod", **WHO)
    file = root / "demo" / HISTORY
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"alias":"prod","from_ver')
    assert read_history(root / "demo").aliases == {"prod": 2}
    add_note(root, "demo@1", "old", **WHO)
    assert file.read_bytes().startswith(whole + b'{"version":1,')
    assert [type(event) for event in read_history(root / "demo").events] == [Move, Note]


@pytest.mark.parametrize("line", [b"{}", b"[]", b"7", b"nonsense", b'{"alias":"prod"}'])
def test_a_line_that_somebody_changed_is_told(root: Path, line: bytes) -> None:
    (root / "demo" / HISTORY).write_bytes(line + b"\n")
    with pytest.raises(SnapshotError, match=r"line 1 of .*history\.jsonl was changed"):
        find(root, "demo@prod")
    with pytest.raises(SnapshotError, match="line 1"):
        set_alias(root, "demo@2", "prod", **WHO)
    assert find(root, "demo@2").name == "2"


def test_a_damaged_version_is_listed_as_one(root: Path) -> None:
    (root / "demo" / "2" / "manifest.json").write_text("{}")
    assert [entry.manifest is None for entry in entries(root, "demo")] == [False, True, False]
    with pytest.raises(NotFoundError, match=r"no snapshot other .*: demo"):
        list(entries(root, "other"))


def test_many_movers_and_a_build_lose_nothing(
    root: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    """Every move starts where the one before it ended, whoever made that, and every version is built."""

    def move(who: int) -> None:
        for number in range(40):
            set_alias(root, f"demo@{1 + (who + number) % 3}", "prod", by=f"{who}", at=AT)
            set_alias(root, f"demo@{1 + number % 3}", f"own-{who}", by=f"{who}", at=AT)

    def build() -> None:
        for count in range(6, 9):
            write_snapshot(root, make_spec(), {"train": rows[:count]})

    threads = [Thread(target=build), *(Thread(target=move, args=[who]) for who in range(4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions(root, "demo") == list(range(1, 7))
    at: dict[str, int | None] = {}
    events = read_history(root / "demo").events
    for event in events:
        assert isinstance(event, Move)
        assert event.from_version == at.get(event.alias)
        at[event.alias] = event.to_version
    assert [sum(event.alias == f"own-{who}" for event in events) for who in range(4)] == [40] * 4
