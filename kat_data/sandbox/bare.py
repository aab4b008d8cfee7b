"""Slots without any isolation, for programs that are trusted: tests of this package, a task author's own checkers.

A program that is at work when such a slot is closed may go on: nothing here can follow it.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress

from kat_data.sandbox import boot
from kat_data.sandbox.layout import config
from kat_data.sandbox.slot import SAID, Slot

_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}


class ProcessPipe:
    """The pipes of a local process, which leads its own session."""

    def __init__(self, command: list[str], pass_fds: tuple[int, ...] = (), folder: str | None = None) -> None:
        self._folder = folder
        self._owner = os.getpid()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_ENVIRONMENT,
            pass_fds=pass_fds,
            start_new_session=True,
            bufsize=0,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def receive(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        poll = select.poll()  # not select(), which knows no descriptor above 1023
        poll.register(self._process.stdout, select.POLLIN)
        if not poll.poll(seconds * 1000):
            raise TimeoutError(f"no answer in {seconds:.0f} s")
        return os.read(self._process.stdout.fileno(), 1 << 20)

    def said(self) -> bytes:
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), SAID, max(0, size - SAID))

    def close(self) -> None:
        """Kill the process and its session, and remove its folder; in a forked child, only let go of the pipes."""
        owned = self._owner == os.getpid()
        if owned:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if not owned:
            return
        self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def start(memory_mb: int) -> Slot:
    """Start a slot that is nothing but a process of ours."""
    folder = tempfile.mkdtemp(prefix="kat-bare-")
    pipe = ProcessPipe([sys.executable, *boot.COMMAND[1:]], folder=folder)
    return Slot(pipe, config(users=None, folders=[folder], grouped=False))
