"""Who may write in a folder, and what is left of it."""

import fcntl
import threading
from pathlib import Path

import pytest

from kat_data.errors import SnapshotError
from kat_data.snapshots import folder
from kat_data.snapshots.folder import exclusive, resumable, unfinished


def test_a_folder_made_for_nothing_is_removed_again(tmp_path: Path) -> None:
    with exclusive(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_or_that_holds_something_stays(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with exclusive(tmp_path / "old"), exclusive(tmp_path / "new"):
        (tmp_path / "new" / "1").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


def test_one_that_is_held_is_not_removed_by_who_was_refused(tmp_path: Path) -> None:
    new = tmp_path / "new"
    with exclusive(new):
        with pytest.raises(SnapshotError, match="another process"), exclusive(new):
            pytest.fail("both hold it")
        assert new.is_dir()
    assert not new.exists()


def test_a_link_to_nowhere_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(SnapshotError, match=r"cannot write in .*link"), exclusive(tmp_path / "link"):
        pytest.fail("there is no folder to hold")


def test_a_folder_removed_before_it_was_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other holder leaves, and removes the folder, between this one's opening and locking it."""
    flock = fcntl.flock

    def late(handle: int, operation: int) -> None:
        monkeypatch.setattr(folder.fcntl, "flock", flock)
        (tmp_path / "new").rmdir()
        flock(handle, operation)

    monkeypatch.setattr(folder.fcntl, "flock", late)
    with exclusive(tmp_path / "new"):
        (tmp_path / "new" / "1").mkdir()
        with pytest.raises(SnapshotError, match="another process"), exclusive(tmp_path / "new"):
            pytest.fail("both hold it")
    assert (tmp_path / "new" / "1").is_dir()


def test_what_a_build_left_is_there_after_another_wrote_in_the_folder(tmp_path: Path) -> None:
    def cut_short() -> None:
        with resumable(tmp_path, "*.done") as build:
            (build / "0.done").write_bytes(b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    (tmp_path / ".kat-unfinished-killed").mkdir()
    with unfinished(tmp_path) as other:
        assert not (tmp_path / ".kat-unfinished-killed").exists()
        assert other.is_dir()
    with resumable(tmp_path, "*.done") as build:
        assert (build / "0.done").read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == []


def test_many_builders_that_leave_nothing_never_hold_it_together(tmp_path: Path) -> None:
    inside, together, gone_wrong = 0, [], []

    def build() -> None:
        nonlocal inside
        for _ in range(200):
            try:
                with exclusive(tmp_path / "new"):
                    inside += 1
                    together.append(inside)
                    assert (tmp_path / "new").is_dir()
                    inside -= 1
            except SnapshotError as error:
                if "another process" not in str(error):
                    gone_wrong.append(error)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(together) == {1}
    assert not gone_wrong


def test_a_folder_that_cannot_be_made_is_told_and_not_tried_for_ever() -> None:
    with pytest.raises(SnapshotError, match="cannot write in /proc/nope"), exclusive(Path("/proc/nope/snapshots")):
        pass
