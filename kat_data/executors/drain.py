"""Drain a job in one event loop, with as many items in flight as are allowed."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from kat_data.clock import Clock
from kat_data.errors import RunStopped


class Job(Protocol):
    """Items to claim and to work on."""

    async def claim(self, limit: int) -> Sequence[Any]: ...

    async def work(self, claim: Any) -> None: ...

    async def waiting(self) -> tuple[bool, float | None]: ...


async def drain(job: Job, *, in_flight: int, clock: Clock, stop: asyncio.Event | None = None) -> None:
    """Work until the job has no unfinished item, or `stop` is set.

    A claim tops itself up as items finish. After a `RunStopped`, or `stop`, nothing new is claimed; calls in flight
    are paid for, so they are awaited and stored. Then the first error is raised.
    """
    with _rare_collections():
        await _drain(job, in_flight, clock, stop or asyncio.Event())


async def _drain(job: Job, in_flight: int, clock: Clock, stop: asyncio.Event) -> None:
    active: set[asyncio.Task[None]] = set()
    errors: list[BaseException] = []
    try:
        while not (stop.is_set() or errors):
            wanted = in_flight - len(active)
            claimed = await job.claim(wanted)
            active |= {asyncio.create_task(job.work(claim)) for claim in claimed}
            if not active:
                unfinished, delay = await job.waiting()
                if not unfinished:
                    return
                await _pause(stop, 1.0 if delay is None else min(max(delay, 0.05), 1.0), clock)
                continue
            idle = len(claimed) < wanted  # items may wait for a day, and others be free meanwhile
            active = await _some_end(active, errors, target=in_flight - max(1, in_flight // 8), idle=idle)
    finally:
        while active:
            active = await _some_end(active, errors, target=0, idle=False)
    _raise_first(errors)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage less often: thousands of tasks in flight are none, and scanning them takes a third of the CPU."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def _some_end(
    active: set["asyncio.Task[None]"], errors: list[BaseException], *, target: int, idle: bool
) -> set["asyncio.Task[None]"]:
    """Wait until at most `target` tasks are left or one has failed; return the tasks left.

    An idle drain, which could claim no more, waits only until one has ended or a second has passed.
    """
    while active:
        done, active = await asyncio.wait(active, timeout=1.0 if idle else None, return_when=asyncio.FIRST_COMPLETED)
        failed = [error for task in done if (error := task.exception())]
        errors += failed
        if idle or failed or len(active) <= target:
            break
    return active


async def _pause(stop: asyncio.Event, seconds: float, clock: Clock) -> None:
    waits = {asyncio.ensure_future(stop.wait()), asyncio.ensure_future(clock.sleep(seconds))}
    _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


def _raise_first(errors: Sequence[BaseException]) -> None:
    defects = [error for error in errors if not isinstance(error, RunStopped)]
    for error in [*defects, *errors]:
        raise error
