"""Folders that programs leave behind, made as nasty as they can be, are empty afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kat_data.sandbox.inside import wipe


def empty(folder: Path) -> None:
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    wipe._empty(root)
    os.close(root)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_of_every_kind_go(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "\udcff\n name").write_text("y")
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "file", tmp_path / ".hidden" / "link")
    empty(tmp_path)
    assert names(tmp_path) == []


def test_what_is_closed_to_everyone_is_opened(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    for folder in (inner, inner.parent):
        folder.chmod(0)
    empty(tmp_path)
    assert names(tmp_path) == []


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    (outside / "file").write_text("x")
    outside.chmod(0o500)
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    for place in (inside, inside / "deep"):
        (place / "folder").symlink_to(outside)
        (place / "name").symlink_to(outside / "file")
        (place / "loop").symlink_to(place)
    empty(inside)
    assert names(inside) == []
    assert names(outside) == ["file", "kept"]
    assert outside.stat().st_mode & 0o777 == 0o500


def test_a_tree_deeper_than_any_path_goes(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(300):
        os.mkdir("d" * 200, dir_fd=here)
        inner = os.open("d" * 200, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    empty(tmp_path)
    assert names(tmp_path) == []


def test_names_that_the_wiping_itself_uses_are_no_matter(tmp_path: Path) -> None:
    for n in range(1, 5):
        (tmp_path / f"\1wiped {n}" / f"\1wiped {n}" / f"\1wiped {n + 1}").mkdir(parents=True)
    (tmp_path / "\1wiped 5").touch()
    empty(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("count", [1, 3])
def test_every_folder_that_is_named_is_emptied(tmp_path: Path, count: int) -> None:
    folders = [tmp_path / str(n) for n in range(count)]
    for folder in folders:
        (folder / "x" / "y").mkdir(parents=True)
    given, feed = os.pipe()
    os.write(feed, "\n".join(map(str, folders)).encode())
    os.close(feed)
    script = f"import os\nos.dup2({given}, 3)\nfrom kat_data.sandbox.inside import wipe\nwipe.run()\n"
    ended = subprocess.run([sys.executable, "-c", script], pass_fds=[given], check=False)
    os.close(given)
    assert ended.returncode == 0
    assert [names(folder) for folder in folders] == [[]] * count
