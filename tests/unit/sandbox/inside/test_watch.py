"""What a watch says of real processes: how they ended, and what came from each descriptor."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from kat_data.sandbox.inside import watch
from kat_data.sandbox.inside.watch import Watch, Watched

LIMITS = {"wall_s": 10.0, "memory_mb": 64, "output_bytes": 1000}


class Reaper:
    """Stands for the slot's processes: children of this process, reaped here."""

    def others(self) -> list[int]:
        return [1, 2]

    def unforked(self) -> list[int]:
        return []

    def reap(self, pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Gauge:
    """A memory that reads as told."""

    def __init__(self, used: int = 0, *, killed: bool = False) -> None:
        self._used, self._killed = used, killed

    def used(self, pids: Callable[[], Sequence[int]]) -> int:
        assert pids() == [1, 2]
        return self._used

    def killed(self) -> bool:
        return self._killed


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host that stays: where it goes, the watch ends its own process."""
    ours, its = os.pipe()
    monkeypatch.setattr(watch, "HOST", ours)
    yield
    os.close(ours)
    os.close(its)


def watched(command: list[str], gauge: Gauge | None = None, **limits: float) -> tuple[Watched, bytes, bytes]:
    """Watch a command; return what is said of it, and its standard output and error."""
    out, its_out = os.pipe()
    err, its_err = os.pipe()
    process = subprocess.Popen(command, stdout=its_out, stderr=its_err)
    os.close(its_out)
    os.close(its_err)
    look = Watch(Reaper(), gauge or Gauge())  # type: ignore[arg-type]
    found = look(process.pid, [out, err], {**LIMITS, **limits})
    process.returncode = 0  # reaped already
    for descriptor in (out, err):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    return found, found.data[out], found.data[err]


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


@pytest.mark.parametrize(
    ("script", "ending", "code"),
    [("exit 0", "exited", 0), ("exit 7", "exited", 7), ("kill -SEGV $$", "signalled", signal.SIGSEGV),
     ("kill -XCPU $$", "timeout", signal.SIGXCPU)],
)  # fmt: skip
def test_what_ends_by_itself(script: str, ending: str, code: int) -> None:
    found, out, err = watched(sh(f"echo out; echo err >&2; {script}"))
    assert (found.ending, found.code) == (ending, code)
    assert (out, err) == (b"out\n", b"err\n")


def test_what_goes_on_is_killed_at_its_time() -> None:
    found, out, _ = watched(sh("echo begun; exec sleep 60"), wall_s=0.3)
    assert (found.ending, found.code, out) == ("timeout", signal.SIGKILL, b"begun\n")
    assert 0.3 <= found.seconds < 5


@pytest.mark.parametrize("script", ["while :; do echo xxxxxxxx; done", "while :; do echo xxxxxxxx >&2; done"])
def test_what_writes_without_end_is_stopped_early(script: str) -> None:
    found, out, err = watched(sh(script))
    assert found.ending == "output_limit"
    assert 1000 < len(out) + len(err) < 1000 + 2 * (1 << 16)


def test_both_outputs_count_together() -> None:
    script = "head -c 600 /dev/zero; head -c 600 /dev/zero >&2"
    assert watched(sh(script))[0].ending == "output_limit"
    assert watched(sh(script), output_bytes=1200)[0].ending == "exited"


def test_memory_over_the_limit_ends_it() -> None:
    busy = sh("exec sleep 60")
    assert watched(busy, Gauge((64 << 20) + 1))[0].ending == "memory"
    assert watched(busy, Gauge(killed=True))[0].ending == "memory"
    assert watched(busy, Gauge(64 << 20), wall_s=0.2)[0].ending == "timeout"
    assert watched(sh("exit 1"), Gauge(killed=True))[0].ending == "memory"


def test_a_pipe_that_another_process_holds_open_keeps_nobody_waiting() -> None:
    found, out, _ = watched(sh("sleep 30 & echo $!"))
    os.kill(int(out), signal.SIGKILL)
    assert (found.ending, found.code) == ("exited", 0)
    assert found.seconds < 5


def test_a_host_that_is_gone_ends_the_slot() -> None:
    script = (
        "import os, subprocess\n"
        "from kat_data.sandbox.inside.watch import Watch\n"
        "class M:\n    used = staticmethod(lambda pids: 0)\n    killed = staticmethod(lambda: False)\n"
        "class P:\n    others = staticmethod(list)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print(child.pid, flush=True)\n"
        "Watch(P, M)(child.pid, [], {'wall_s': 60, 'memory_mb': 64, 'output_bytes': 1})\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as slot:
        assert slot.stdin is not None
        assert slot.stdout is not None
        child = int(slot.stdout.readline())
        slot.stdin.close()
        assert slot.wait(20) == 0
    os.kill(child, signal.SIGKILL)
