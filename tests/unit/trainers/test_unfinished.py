"""A folder appears whole or not at all."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import pytest

from kat_data.errors import ConfigError
from trainers.unfinished import unfinished


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with unfinished(target, "one") as folder:
        (folder / "part").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["part"]
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def killed(target: Path, identity: str, *parts: str) -> set[str]:
    """Write the parts and die; returns what was there before."""
    found: set[str] = set()
    with suppress(KeyboardInterrupt), unfinished(target, identity) as folder:
        found = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        for part in parts:
            (folder / part).mkdir() if part == "inner" else (folder / part).write_text("x")
        raise KeyboardInterrupt
    assert not target.exists()
    return found


def test_what_a_killed_process_wrote_is_taken_up_by_the_same_work_alone(tmp_path: Path) -> None:
    target = tmp_path / "model"
    assert killed(target, "one", "part", "inner") == set()
    assert killed(target, "one") == {"part", "inner"}
    assert killed(target, "two") == set()
    assert killed(target, "one") == set()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_there_is_refused_and_left(tmp_path: Path, make: object) -> None:
    target = tmp_path / "model"
    make(target)  # type: ignore[operator]
    with pytest.raises(ConfigError, match="is there already: give another output"), unfinished(target, "one"):
        pass
    assert list(tmp_path.iterdir()) == [target]


def test_two_processes_do_not_write_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / ".model.unfinished"
    folder.mkdir()
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(ConfigError, match="another process is writing"), unfinished(tmp_path / "model", "one"):
            pass
    finally:
        os.close(other)
    with unfinished(tmp_path / "model", "one"):
        pass
