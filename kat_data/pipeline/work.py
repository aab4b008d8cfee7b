"""One process's work on a run, from taking it up to one of the ways in which that ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from kat_data.domain.states import RunState
from kat_data.errors import EndpointDown, KatError, RunInterrupted, SandboxMissing, WorkerLost
from kat_data.logs import bound, note
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.pipeline.run import conclude, left_to_others, note_stop
from kat_data.pipeline.wiring import find_lack
from kat_data.pipeline.workshop import Progress, Workshop
from kat_data.registry import runs
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry, is_lost
from kat_data.stages.stage import Kind

Work = Callable[[RunJob, Recipe], Awaitable[None]]
"""Drains the job of a run."""

_log = logging.getLogger(__name__)


class How(StrEnum):
    """How a process's work on a run ended, for the run and for the process."""

    FINISHED = "finished"
    """Every item of the run has ended."""
    LEFT = "left"
    """The run is open still: others are at work on it, or will be."""
    INTERRUPTED = "interrupted"
    """Someone stopped or cancelled the run, or asked this process to end as the last at work on it."""
    STOPPED = "stopped"
    """The run cannot go on for anybody; the registry says why."""
    LACKING = "lacking"
    """This machine lacks something that the run needs; the run is open to others."""
    WORKER_LOST = "worker_lost"
    """The others take this process's worker for dead, and go on without it."""
    REGISTRY_LOST = "registry_lost"
    """The database is gone; what was committed is there when it comes back."""
    DEFECT = "defect"
    """An error that nobody foresaw; the run is open to others."""


_BY_STATE = {
    RunState.FINISHED: How.FINISHED,
    RunState.OPEN: How.LEFT,
    RunState.STOPPED: How.INTERRUPTED,
    RunState.CANCELLED: How.INTERRUPTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the work on a run ended: with the run as it was left, or with the error that ended the work."""

    how: How
    run: RunRow | None = None
    error: Exception | None = None

    @property
    def reason(self) -> str:
        """The first line of the error."""
        return str(self.error or "").partition("\n")[0]


async def work_on(
    shop: Workshop,
    run: int,
    work: Work,
    *,
    executor: Literal["local", "celery"],
    stop: asyncio.Event,
    kinds: Collection[Kind] = tuple(Kind),
    observe: Callable[[Progress], None] = lambda _: None,
) -> Ending:
    """Let `work` drain a run's job, wired in the shop, and return how that ended; no error of the work is raised.

    A local process opens the run, whatever its state was; one of the fleet leaves it alone unless it is open.
    """
    with bound(run=run):
        try:
            return await _worked(shop, run, work, executor, stop, kinds, observe)
        except Exception as error:
            return await _ended_by(error, shop.registry, run)


async def _worked(
    shop: Workshop,
    run: int,
    work: Work,
    executor: Literal["local", "celery"],
    stop: asyncio.Event,
    kinds: Collection[Kind],
    observe: Callable[[Progress], None],
) -> Ending:
    row = await asyncio.to_thread(_stored, shop.registry, run)
    if executor == "celery" and row.state is not RunState.OPEN:
        return Ending(how=_BY_STATE[row.state], run=row)
    recipe = parse_recipe(row.recipe, f"run {run}")
    if lack := find_lack(recipe):
        return Ending(how=How.LACKING, error=lack)
    with suppress(RunInterrupted):  # asked for, here or by `kat runs cancel`: the run's state tells which
        async with shop.open_job(row, recipe, stop=stop, kinds=kinds, observe=observe) as job:
            if executor == "local":
                # Not before we count among those at work, the last of whom stops the run.
                await asyncio.to_thread(_open_here, shop.registry, run)
            note(_log, logging.INFO, "run.taken_up", recipe=row.name, queries=row.queries)
            await work(job, recipe)
    row = await asyncio.to_thread(conclude, shop.registry, run)
    event = "run.left" if row.state is RunState.OPEN else f"run.{row.state.value}"
    note(_log, logging.INFO, event, reason=row.reason)
    return Ending(how=_BY_STATE[row.state], run=row)


async def _ended_by(error: Exception, registry: Registry, run: int) -> Ending:
    """Return the ending that an error is; one that concerns everybody stops the run."""
    try:
        how = await asyncio.to_thread(_how, error, registry, run)
        if how is How.STOPPED:
            await asyncio.to_thread(note_stop, registry, run, error)
            note(_log, logging.ERROR, "run.stopped", error=error, reason=str(error))
    except Exception as another:  # the database went away meanwhile
        return Ending(how=How.REGISTRY_LOST if is_lost(another) else How.DEFECT, error=another)
    return Ending(how=how, error=error)


def _how(error: Exception, registry: Registry, run: int) -> How:
    """Return what an error means; an endpoint that others may reach is no reason to stop the run while they work."""
    if isinstance(error, WorkerLost):
        return How.WORKER_LOST
    if is_lost(error):
        return How.REGISTRY_LOST
    if isinstance(error, SandboxMissing) or (isinstance(error, EndpointDown) and left_to_others(registry, run)):
        return How.LACKING
    return How.STOPPED if isinstance(error, KatError) else How.DEFECT


def _stored(registry: Registry, run: int) -> RunRow:
    with registry.engine.connect() as connection:
        return runs.get_run(connection, run)


def _open_here(registry: Registry, run: int) -> None:
    with registry.engine.begin() as connection:
        runs.open_to(connection, run, "local")
