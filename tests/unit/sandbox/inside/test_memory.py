"""What the memory of a slot is read from: a control group's files, or the processes themselves."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kat_data.sandbox.inside import memory
from kat_data.sandbox.inside.memory import Memory


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A control group whose files say what the test writes."""
    stat, events = tmp_path / "memory.stat", tmp_path / "memory.events"
    monkeypatch.setattr(memory, "_GROUPS", ((str(stat), ("anon", "shmem"), str(events)),))

    def write(statistics: str, kills: str) -> None:
        stat.write_text(statistics)
        events.write_text(kills)

    return write


def nobody() -> list[int]:
    raise AssertionError("the control group tells")


def test_a_group_counts_what_programs_hold_beyond_the_start(group: Callable[[str, str], None]) -> None:
    group("anon 1000\nfile 5000\nshmem 10\n", "oom_kill 0\n")
    held = Memory(grouped=True)
    assert (held.used(nobody), held.killed()) == (0, False)
    group("anon 4000\nfile 900000\nshmem 510\ninactive_anon 7\n", "low 0\noom 3\noom_kill 0\n")
    assert (held.used(nobody), held.killed()) == (3500, False)
    group("anon 4000\nshmem 0\n", "oom_kill 2\n")
    assert held.killed()


def test_without_a_group_processes_are_asked(group: Callable[[str, str], None]) -> None:
    script = "import mmap, sys\nown = bytearray(40 << 20)\nshared = mmap.mmap(-1, 30 << 20)\n"
    script += "shared.write(b'x' * (30 << 20))\nprint('ready', flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        one.stdout.readline()
        for held in (Memory(grouped=False), Memory(grouped=True)):  # the second has no group that can be read
            assert 70 << 20 <= held.used(lambda: [one.pid]) < 120 << 20
            assert held.used(lambda: [one.pid, one.pid]) >= 140 << 20
            assert not held.killed()
        one.communicate(b"")


def test_processes_that_are_gone_hold_nothing() -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    assert Memory(grouped=False).used(lambda: [gone.pid]) == 0
