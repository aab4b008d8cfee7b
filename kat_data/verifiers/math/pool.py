"""A small pool of processes that compare expressions; safe from any thread, and each call ends by its deadline."""

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kat_data.errors import VerifierFault
from kat_data.verifiers.math import worker as math_worker

DEADLINE_SECONDS = 3.5
START_SECONDS = 60.0
CALLS_PER_WORKER = 2000

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")


class WorkerDiedError(Exception):
    """A worker ended, or answered nonsense, while it owed a reply."""


class Worker:
    """One process that runs `math_worker`, driven over pipes by one thread at a time."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", str(Path(math_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "PYTHONHASHSEED": "0"},
            start_new_session=True,
            bufsize=0,
        )
        self.calls = 0
        try:
            self.versions = self._receive(START_SECONDS)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def compare(self, gold: str, answer: str, deadline: float) -> dict[str, Any]:
        """Return the worker's reply; after `TimeoutError` (the deadline) or `WorkerDiedError` it must be killed."""
        self.calls += 1
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(math_worker.pack({"gold": gold, "answer": answer}))
        except OSError as error:
            raise WorkerDiedError("the maths worker closed its input") from error
        return self._receive(deadline)

    def kill(self) -> None:
        """End the process at once and release its pipes."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _receive(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        end = time.monotonic() + seconds
        data = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while (left := end - time.monotonic()) > 0:
                if not selector.select(left):
                    continue
                chunk = os.read(descriptor, math_worker.FRAME_LIMIT)
                if not chunk:
                    raise WorkerDiedError("the maths worker ended")
                data += chunk
                try:
                    message = math_worker.unpack(data)
                except ValueError as error:
                    raise WorkerDiedError(f"the maths worker broke its protocol: {error}") from error
                if message is not None:
                    return message
        raise TimeoutError


class MathPool:
    """At most `size` workers, started when needed; a call's deadline counts from when it has one.

    Two workers that die on the same expression share one deadline.
    """

    def __init__(self, size: int | None = None, deadline: float = DEADLINE_SECONDS) -> None:
        self.size = size or max(1, min(8, os.cpu_count() or 1))
        self._deadline = deadline
        self._free = threading.BoundedSemaphore(self.size)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._owner = os.getpid()
        self._finalizer = weakref.finalize(self, _kill_all, self._idle)

    def compare(self, gold: str, answer: str) -> dict[str, Any]:
        """Compare two LaTeX expressions; `TimeoutError` at the deadline, `VerifierFault` if workers die on anything."""
        with self._waiting():
            self._free.acquire()
        try:
            return self._compare(gold, answer)
        finally:
            self._free.release()

    @property
    def waited(self) -> float:
        """The seconds that this thread has spent so far in waiting for a worker to be free or to start."""
        return float(getattr(self._local, "waited", 0.0))

    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers that wait for work."""
        with self._lock:
            return tuple(worker.pid for worker in self._idle)

    def close(self) -> None:
        """End every idle worker; the pool may be used again afterwards."""
        with self._lock:
            _kill_all(self._idle)

    @contextmanager
    def _waiting(self) -> Generator[None]:
        """Count the time inside as waiting."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._local.waited = self.waited + time.monotonic() - start

    def _compare(self, gold: str, answer: str) -> dict[str, Any]:
        start = time.monotonic() - self.waited
        try:
            return self._try(gold, answer, self._deadline)
        except WorkerDiedError:
            spent = time.monotonic() - self.waited - start
        try:
            return self._try(gold, answer, self._deadline - spent, fresh=True)
        except WorkerDiedError as error:
            return self._blame(error)

    def _try(self, gold: str, answer: str, deadline: float, *, fresh: bool = False) -> dict[str, Any]:
        worker = None if fresh else self._take()
        try:
            worker = worker or self._started()
        except TimeoutError as error:
            raise WorkerDiedError("the maths worker did not start in time") from error
        try:
            reply = worker.compare(gold, answer, deadline)
        except BaseException:
            worker.kill()
            raise
        self._give_back(worker, spent="limit" in reply)
        return {**reply, "versions": worker.versions}

    def _started(self) -> Worker:
        with self._waiting():
            return Worker()

    def _blame(self, error: WorkerDiedError) -> dict[str, Any]:
        """Return a limit if a third worker is well, so that the expression itself ended two; else raise the fault."""
        try:
            reply = self._try("1+1", "2", self._deadline, fresh=True)
        except (WorkerDiedError, TimeoutError):
            raise VerifierFault(f"{error}, twice in a row; check that math-verify is installed, then retry") from error
        return {"limit": "its process", "versions": reply["versions"]}

    def _take(self) -> Worker | None:
        with self._lock:
            if self._owner != os.getpid():  # a forked child must not share its parent's pipes
                self._owner = os.getpid()
                self._idle.clear()
            return self._idle.pop() if self._idle else None

    def _give_back(self, worker: Worker, *, spent: bool) -> None:
        if spent or worker.calls >= CALLS_PER_WORKER:
            worker.kill()
            return
        with self._lock:
            self._idle.append(worker)


def _kill_all(workers: list[Worker]) -> None:
    while workers:
        workers.pop().kill()
