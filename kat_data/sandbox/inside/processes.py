"""Every process of the slot: the zygote forks them, the supervisor sees and ends them."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from kat_data.sandbox.inside import zygote

_CLEARING_SECONDS = 2.0


class SlotBroken(Exception):
    """The slot cannot be used any more."""


class Processes:
    """The zygote, and through it the processes of programs."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            _be_zygote(ours, its)
        its.close()
        self._zygote = ours
        self._running: set[int] = set()
        self._newest = 0

    def start(self, role: str, descriptors: Sequence[int], **request: Any) -> int:
        """Fork a process in that role, with `descriptors` as its 0, 1, 2 …, and return its pid."""
        message = json.dumps({"role": role, **request}).encode()
        try:
            socket.send_fds(self._zygote, [message], list(descriptors))
        except OSError as error:
            raise SlotBroken(f"the zygote is gone: {error}") from None
        started = self._answer()
        if not isinstance(started, int):
            raise SlotBroken(f"a program cannot be started: {started}")
        self._running.add(started)
        self._newest = started
        return started

    def reap(self, pid: int) -> int:
        """Wait for the end of a process that was started; return its exit status, or minus the signal."""
        self._zygote.send(json.dumps({"reap": pid}).encode())
        self._running.discard(pid)
        return int(self._answer())

    def others(self) -> list[int]:
        """Return every process but the supervisor and the zygote."""
        own = {os.getpid(), self._pid}
        return [pid for pid in _all() if pid not in own]

    def unforked(self) -> list[int]:
        """Return the processes that were started here, if they started neither a process nor a thread; else nothing.

        The last number that the kernel gave away in this namespace tells, even of a process that is gone.
        """
        return sorted(self._running) if _newest() == self._newest else []

    def clear(self) -> bool:
        """Kill every process but the supervisor and the zygote; false where some are left after two seconds."""
        end = time.monotonic() + _CLEARING_SECONDS
        while others := self.others():
            for pid in others:
                kill(pid)
            for pid in list(self._running):
                self.reap(pid)
            _reap_orphans()
            if time.monotonic() > end:
                return False
        return True

    def _answer(self) -> Any:
        try:
            data = self._zygote.recv(zygote.MESSAGE_LIMIT)
        except OSError as error:
            raise SlotBroken(f"the zygote is gone: {error}") from None
        if not data:
            raise SlotBroken("the zygote is gone")
        return json.loads(data)


def _be_zygote(ours: socket.socket, its: socket.socket) -> None:
    """Let go of what the supervisor shares with the host and serve its requests."""
    try:
        ours.close()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        zygote.main(its)
    finally:
        os._exit(0)


def kill(pid: int) -> None:
    """Kill a process; one that is gone already is no matter."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _all() -> list[int]:
    """Return every process of this pid namespace, or all below this process where the namespace is not its own."""
    if os.getpid() == 1:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    found, unseen = [], [os.getpid()]
    while unseen:
        pid = unseen.pop()
        found.append(pid)
        unseen += _children(pid)
    return found


def _newest() -> int:
    """Return the last process number of this process's own namespace; none where it has none of its own."""
    if os.getpid() != 1:
        return -1
    with open("/proc/loadavg") as file:  # noqa: PTH123
        return int(file.read().split()[-1])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{task}/children") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    return found


def _reap_orphans() -> None:
    """Reap what was left by its parents: orphans become children of the supervisor."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
