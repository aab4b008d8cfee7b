"""Disk and open files, with little and with enough of them."""

import resource
import shutil
from pathlib import Path

import pytest

from kat_data.doctor.finding import Level
from kat_data.doctor.machine import free_space, look_at_open_files, look_at_versions
from kat_data.pipeline.recipe import load_recipe

GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "free", "level"),
    [(100, 50, Level.OK), (100, 10, Level.OK), (100, 9, Level.WARN), (20, 4, Level.WARN), (1000, 99, Level.WARN)],
)
def test_little_room_is_warned_of(
    total: int, free: int, level: Level, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def usage(path: Path) -> object:
        asked.append(path)
        return shutil._ntuple_diskusage(total * GIB, (total - free) * GIB, free * GIB)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    found = free_space("disk", tmp_path / "not" / "yet", "KAT_HOME")
    assert (found.level, bool(found.remedy)) == (level, level is Level.WARN)
    assert f"{free}.0 GiB free of {total:,}" in found.found
    assert asked == [tmp_path]


def test_a_file_system_that_only_pretends_is_no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 0))
    found = free_space("disk", tmp_path, "KAT_HOME")
    assert (found.level, found.remedy) == (Level.FAIL, "set KAT_HOME to a folder of your own")


@pytest.mark.parametrize(
    ("limits", "level", "says"),
    [
        ((1024, 4096), Level.OK, ""),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), Level.OK, ""),
        ((300, 4096), Level.WARN, "run `ulimit -n 320` in"),
        ((300, 310), Level.WARN, "once the hard limit of 310 is raised"),
    ],
)
def test_open_files_have_to_do_for_the_recipe(
    limits: tuple[int, int], level: Level, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    [found] = look_at_open_files(load_recipe("demo"))  # 64 calls at once
    assert found.level is level
    assert says in found.remedy
    assert "320 are needed with 64 calls in flight" in found.found


def test_versions_are_told() -> None:
    [found] = look_at_versions()
    assert found.found.startswith("KAT Data 0.1.0, Python 3.")
