"""The local executor: a run in this process.

Take it up, work until it is done or has to stop, and leave its state behind.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from kat_data.clock import Clock, SystemClock
from kat_data.domain.states import RunState
from kat_data.errors import RegistryError, RunInterrupted
from kat_data.executors.drain import drain
from kat_data.logs import note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.recipe import Recipe
from kat_data.pipeline.run import left_to_others, note_stop
from kat_data.pipeline.wiring import MakeClient, make_client
from kat_data.pipeline.work import Ending, How, work_on
from kat_data.pipeline.workshop import Progress, Workshop, items_in_flight
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.sandbox.base import Sandbox
from kat_data.verifiers.dispatch import Verifiers

_log = logging.getLogger(__name__)


async def execute_run(
    registry: Registry,
    run: RunRow,
    *,
    stop: asyncio.Event | None = None,
    client: MakeClient = make_client,
    clock: Clock | None = None,
    open_sandbox: Callable[[], Sandbox | None] = lambda: None,
    home: Path | None = None,
    observe: Callable[[Progress], None] = lambda _: None,
    observer: Observer = UNOBSERVED,
) -> RunRow:
    """Work on a run until every item has ended; return it finished. Others may work on it at the same time.

    `open_sandbox` opens the place where programs run, with the first of them; without one they are not verified.
    Under `home` bulks of queries are looked up in files; without one in Postgres alone.

    Raises `RunStopped` (endpoint, budget, `stop` set, cancelled) after what was in flight is stored; the run can be
    resumed. Raises `UserError` where what decides the run's samples has changed since it was opened, or where this
    machine lacks a key, say, `SandboxMissing` where a sandbox was asked for by name, `RegistryError` where the database
    is lost.
    """
    clock, stop = clock or SystemClock(), stop or asyncio.Event()

    async def work(job: RunJob, recipe: Recipe) -> None:
        await drain(job, in_flight=items_in_flight(recipe), clock=clock, stop=stop)

    with Verifiers(open_sandbox=open_sandbox) as verifiers:
        shop = Workshop(
            registry=registry, verifiers=verifiers, client=client, clock=clock, home=home, observer=observer
        )
        ending = await work_on(shop, run.id, work, executor="local", stop=stop, observe=observe)
    return await asyncio.to_thread(_told, ending, registry, run.id)


def _told(ending: Ending, registry: Registry, run: int) -> RunRow:
    """Return the run where it is finished, else raise what says to people why it is not."""
    if ending.run is not None:
        if ending.how is How.FINISHED:
            return ending.run
        raise RunInterrupted(_left(ending.run))
    assert ending.error is not None
    if ending.how is How.LACKING and not left_to_others(registry, run):
        note_stop(registry, run, ending.error)
        note(_log, logging.ERROR, "run.stopped", run=run, error=ending.error, reason=str(ending.error))
    if ending.how is How.REGISTRY_LOST and not isinstance(ending.error, RegistryError):
        message = f"lost the database: {ending.reason}; start it and run the same command again"
        raise RegistryError(message) from ending.error
    raise ending.error


def _left(run: RunRow) -> str:
    again = f"go on with `kat runs resume {run.id}`"
    if run.state is RunState.OPEN:
        return f"left run {run.id} to the others that work on it; {again}"
    word = "cancelled" if run.state is RunState.CANCELLED else run.reason or "interrupted"
    return f"run {run.id} was {word}; {again}"
