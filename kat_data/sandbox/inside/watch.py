"""Watches one process until it ends or passes a limit, and collects what it writes."""

import os
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

from kat_data.sandbox.inside.memory import Memory
from kat_data.sandbox.inside.processes import Processes, kill

_TICK = 0.02  # seconds between looks at the memory
_CHUNK = 1 << 16
HOST = 0


@dataclass(frozen=True)
class Watched:
    """How a process ended and what came from each descriptor; `ending` is one of `base.Ending`'s values."""

    ending: str
    code: int
    data: dict[int, bytes]
    seconds: float


class Watch:
    """Watches processes of one slot, one at a time.

    `files` says how many files each folder may hold; in bubblewrap nothing else counts them.
    """

    def __init__(self, processes: Processes, memory: Memory, files: Mapping[str, int] | None = None) -> None:
        self._processes = processes
        self._memory = memory
        self._files = files or {}

    def __call__(self, pid: int, descriptors: list[int], limits: Mapping[str, float]) -> Watched:
        """Watch `pid`; `descriptors` are read, counted together against the output limit, and closed."""
        start = time.monotonic()
        found = {descriptor: bytearray() for descriptor in descriptors}
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
        pidfd = os.pidfd_open(pid)
        try:
            ending = self._until_end(pidfd, found, limits, start)
        finally:
            os.close(pidfd)
        if ending:
            kill(pid)
        seconds = time.monotonic() - start
        code = self._processes.reap(pid)
        if not ending and sum(_drain(fd, data) for fd, data in found.items()) > limits["output_bytes"]:
            ending = "output_limit"
        for descriptor in descriptors:
            os.close(descriptor)
        data = {descriptor: bytes(data) for descriptor, data in found.items()}
        return Watched(ending or self._of_itself(code), abs(code), data, seconds)

    def _until_end(
        self, pidfd: int, found: dict[int, bytearray], limits: Mapping[str, float], start: float
    ) -> str | None:
        """Return why the process has to go, or none once it went by itself."""
        deadline = start + limits["wall_s"]
        poll = select.poll()
        for descriptor in (*found, pidfd):
            poll.register(descriptor, select.POLLIN)
        poll.register(HOST, 0)  # tells of nothing but a host that is gone
        room = limits["output_bytes"]
        look = time.monotonic() + _TICK
        while True:
            now = time.monotonic()
            if now >= deadline:
                deadline = start + limits["wall_s"] + min(self._starved(), limits.get("starved_s", 0.0))
                if now >= deadline:
                    return "timeout"
            if now >= look:
                if self._memory.used(self._processes.others) > limits["memory_mb"] * 2**20 or self._memory.killed():
                    return "memory"
                if any(_held(folder) > most for folder, most in self._files.items()):
                    return "output_limit"
                look = now + _TICK
            for descriptor, event in poll.poll(max(0.0, min(deadline, look) - now) * 1000 + 1):
                if descriptor == pidfd:
                    return None
                if descriptor == HOST:
                    os._exit(0)  # and with pid 1 everything else ends
                chunk = os.read(descriptor, _CHUNK) if event & (select.POLLIN | select.POLLHUP) else b""
                if not chunk:
                    poll.unregister(descriptor)
                found[descriptor] += chunk
                room -= len(chunk)
            if room < 0:
                return "output_limit"

    def _starved(self) -> float:
        """Return for how long a program was ready to go on while programs of other slots had every processor.

        How long it may take must not depend on them; but one that starts processes or threads waits for its own.
        """
        return max(map(_waited, self._processes.unforked()), default=0.0)

    def _of_itself(self, code: int) -> str:
        if self._memory.killed():
            return "memory"
        if code == -signal.SIGXCPU:
            return "timeout"
        return "signalled" if code < 0 else "exited"


def _waited(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/schedstat") as file:  # noqa: PTH123
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):  # it is gone, or this kernel does not tell
        return 0.0


def _held(folder: str) -> int:
    """Return how many files and folders a file system in memory holds, as it counts them itself."""
    found = os.statvfs(folder)
    return found.f_files - found.f_ffree


def _drain(descriptor: int, data: bytearray) -> int:
    """Add what is still in the pipe; another process may hold it open and go on, so this ends with what is there."""
    for _ in range(64):
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            break
        if not chunk:
            break
        data += chunk
    return len(data)
