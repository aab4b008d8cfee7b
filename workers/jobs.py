"""Jobs: a process takes up one at a time, in a task that lasts as long as the job."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from kat_data.clock import SystemClock
from kat_data.domain.job import JobKind
from kat_data.errors import KatError, SnapshotBusy
from kat_data.logs import bound, note
from kat_data.pipeline.publish import publication, publish_run
from kat_data.pipeline.selected_rows import Tell
from kat_data.registry import jobs
from kat_data.registry.jobs import JobRow
from kat_data.registry.session import Registry, is_lost
from kat_data.registry.worker import Worker
from kat_data.sandbox.base import Sandbox

GRACE_SECONDS = 10.0
"""How long a node that ends waits for a job, before it leaves it to others."""

_LOOK_SECONDS = 0.1
_TELL_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a process does jobs with."""

    open_registry: Callable[[], Registry]
    open_sandbox: Callable[[], Sandbox | None]
    home: Path
    is_ending: Callable[[], bool] = lambda: False

    def take_up(self, kind: JobKind) -> bool:
        """Do the oldest job of a kind that nobody works on; return whether there was one, and others may wait.

        What became of it is left in the registry, where it can be, and in the log.
        """
        if self.is_ending():
            return False
        try:
            with self.open_registry() as registry:
                return asyncio.run(self._take_up(registry, kind))
        except Exception as error:
            if not is_lost(error):
                raise
            note(_log, logging.ERROR, "registry.lost", reason=str(error).partition("\n")[0])
            return False  # with its worker, the job is free again

    async def _take_up(self, registry: Registry, kind: JobKind) -> bool:
        if not await asyncio.to_thread(_waits, registry, kind):
            return False
        async with await Worker.start(registry, SystemClock()) as worker:
            job = await asyncio.to_thread(_claim, registry, kind, worker.id)
            if job is not None:
                with bound(job=job.id):
                    note(_log, logging.INFO, "job.taken_up", kind=kind.value, attempt=job.attempts)
                    await self._do(registry, job)
        return job is not None and not self.is_ending()

    async def _do(self, registry: Registry, job: JobRow) -> None:
        work = _begin(lambda: PERFORM[job.kind](self, registry, job.arguments, _teller(registry, job)))
        if await self._ended(work):
            await asyncio.to_thread(self._conclude, registry, job, work)
        else:
            await asyncio.to_thread(self._write, registry, jobs.put_back, job)
            note(_log, logging.INFO, "job.left", reason="the node ends")

    async def _ended(self, work: "Future[Any]") -> bool:
        """Wait for the end of a job; return false where the node has to end before it."""
        left = GRACE_SECONDS
        while not work.done() and left > 0:
            await asyncio.sleep(_LOOK_SECONDS)
            left -= _LOOK_SECONDS if self.is_ending() else 0.0
        return work.done()

    def _conclude(self, registry: Registry, job: JobRow, work: "Future[Any]") -> None:
        try:
            result = work.result()
        except SnapshotBusy as error:
            self._write(registry, jobs.put_back, job, delay=jobs.BACKOFF_SECONDS)
            note(_log, logging.WARNING, "job.waits", reason=str(error))
        except Exception as error:
            self._failed(registry, job, error)
        else:
            self._write(registry, jobs.finish, job, result=result)
            note(_log, logging.INFO, "job.done")

    def _failed(self, registry: Registry, job: JobRow, error: Exception) -> None:
        if is_lost(error):
            self._write(registry, jobs.put_back, job, delay=jobs.BACKOFF_SECONDS)
            note(_log, logging.ERROR, "registry.lost", reason=str(error).partition("\n")[0])
        elif isinstance(error, KatError):
            self._write(registry, jobs.finish, job, error=str(error))
            note(_log, logging.ERROR, "job.failed", error=error, reason=str(error))
        else:
            _log.error("a defect ended job %s", job.id, exc_info=error)
            self._write(registry, jobs.spoil, job, error=f"a defect: {type(error).__name__}: {error}")

    def _write(self, registry: Registry, write: Callable[..., bool], job: JobRow, **values: Any) -> None:
        with registry.engine.begin() as connection:
            ours = write(connection, job, **values)
        if not ours:
            note(_log, logging.WARNING, "job.lost", reason="it was cancelled, or went to another worker")


def _waits(registry: Registry, kind: JobKind) -> bool:
    with registry.engine.connect() as connection:
        return bool(jobs.waiting(connection, [kind]))


def _claim(registry: Registry, kind: JobKind, worker: int) -> JobRow | None:
    with registry.engine.begin() as connection:
        return jobs.claim(connection, kind, worker)


def _begin(work: Callable[[], Any]) -> "Future[Any]":
    """Work in a thread that does not keep the process from ending."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=copy_context().run, args=(run,), name="job", daemon=True).start()
    return future


def _teller(registry: Registry, job: JobRow) -> Tell:
    """Return what notes how far a job is, now and then."""
    told = float("-inf")

    def tell(step: str, done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told < _TELL_SECONDS:
            return
        told = time.monotonic()
        with registry.engine.begin() as connection:
            jobs.tell(connection, job, {"step": step, "done": done, "total": total})

    return tell


def _build_snapshot(bench: Bench, registry: Registry, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    written = publish_run(
        registry,
        Path(arguments["root"]) if arguments["root"] else bench.home / "snapshots",
        arguments["run"],
        name=arguments["name"],
        partial=arguments["partial"],
        parent=arguments.get("parent"),
        note=arguments.get("note", ""),
        clock=SystemClock(),
        splits=arguments.get("splits"),
        open_sandbox=bench.open_sandbox,
        home=bench.home,
        tell=tell,
    )
    return publication(written)


PERFORM: dict[JobKind, Callable[[Bench, Registry, Mapping[str, Any], Tell], Any]] = {JobKind.SNAPSHOT: _build_snapshot}
