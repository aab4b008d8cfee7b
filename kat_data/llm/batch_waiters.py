"""Callers that wait for what becomes of their keys in batches, and the end of all waiting."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any, cast

from kat_data.clock import Clock
from kat_data.errors import RequestRejected, RunStopped, WorkerLost
from kat_data.llm.batch import Outcome


class Waiters:
    """Who waits for which key; `end` lets nobody wait any more, and `stopping` is set from then on."""

    def __init__(self, clock: Clock, stop: Callable[[RunStopped], None]) -> None:
        self.stopping = asyncio.Event()
        self.fault: RunStopped | None = None
        self._clock = clock
        self._stop = stop
        self._waiting: dict[bytes, asyncio.Future[Outcome | RunStopped | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def outcome(self, key: bytes) -> Outcome | None:
        """Wait for what becomes of a key; raises what stopped the run."""
        if self.fault is not None:
            raise copy.copy(self.fault)
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await future
        finally:
            self._waiting.pop(key, None)
        if isinstance(outcome, Exception) and not isinstance(outcome, RequestRejected):
            raise copy.copy(outcome)
        return cast("Outcome | None", outcome)

    def resolve(self, key: bytes, outcome: "Outcome | RunStopped | None") -> None:
        """Say what became of a key."""
        future = self._waiting.get(key)
        if future is not None and not future.done():
            future.set_result(outcome)

    def end(self, error: RunStopped) -> None:
        """Let nobody wait any more: everyone gets `error`, now and later."""
        if self.fault is None:
            self.fault = error
            self.stopping.set()
            for key in list(self._waiting):
                self.resolve(key, error)
            self._stop(error)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Let `work` go on beside its callers, who would wait for ever where it breaks.

        A lost database and a defect end this worker alone: the batch can be fetched by others.
        """
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Return when nothing that was spawned is at work any more."""
        self.stopping.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def pause(self, seconds: float) -> bool:
        """Sleep for `seconds`, or until the waiting ends; whether it has."""
        await self.either(self._clock.sleep(seconds))
        return self.stopping.is_set()

    async def either(self, work: Coroutine[Any, Any, Any]) -> None:
        """Wait for `work`, or until the waiting ends."""
        tasks = [asyncio.ensure_future(each) for each in (work, self.stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except RunStopped as error:
            self.end(error)
        except Exception as error:
            said = str(error).partition("\n")[0]
            lost = WorkerLost(f"this worker's batches cannot go on ({type(error).__name__}: {said}): start another one")
            lost.__cause__ = error
            self.end(lost)
