"""The local executor: a run in this process.

Take it up, work until it is done or has to stop, and leave its state behind.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import psycopg

from kat_data.clock import Clock, SystemClock
from kat_data.domain.states import RunState
from kat_data.errors import KatError, RegistryError, RunInterrupted, WorkerLost
from kat_data.executors.drain import drain
from kat_data.logs import note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import conclude, note_stop
from kat_data.pipeline.wiring import MakeClient, make_client
from kat_data.pipeline.workshop import Progress, Workshop, items_in_flight
from kat_data.registry import runs
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
    resumed. Raises `UserError` where what decides the run's samples has changed since it was opened, `RegistryError`
    where the database is lost.
    """
    clock, stop = clock or SystemClock(), stop or asyncio.Event()
    recipe = parse_recipe(run.recipe, f"run {run.id}")
    with Verifiers(open_sandbox=open_sandbox) as verifiers:
        shop = Workshop(
            registry=registry, verifiers=verifiers, client=client, clock=clock, home=home, observer=observer
        )
        try:
            async with shop.open_job(run, recipe, stop=stop, observe=observe) as job:
                # Not before we count among those at work, the last of whom stops the run.
                await asyncio.to_thread(_take_up, registry, run)
                note(_log, logging.INFO, "run.taken_up", run=run.id, recipe=run.name, queries=run.queries)
                await drain(job, in_flight=items_in_flight(recipe), clock=clock, stop=stop)
        except RunInterrupted:
            pass  # asked for, here or by `kat runs cancel`: the run's state tells which
        except WorkerLost:
            raise  # the run goes on with those who took this worker's work
        except KatError as error:
            note_stop(registry, run.id, str(error))
            note(_log, logging.ERROR, "run.stopped", run=run.id, error=error, reason=str(error))
            raise
        except psycopg.OperationalError as error:
            reason = str(error).partition("\n")[0]
            raise RegistryError(f"lost the database: {reason}; start it and run the same command again") from error
    concluded = conclude(registry, run.id)
    event = "run.left" if concluded.state is RunState.OPEN else f"run.{concluded.state.value}"
    note(_log, logging.INFO, event, run=run.id, reason=concluded.reason)
    if concluded.state is not RunState.FINISHED:
        raise RunInterrupted(_left(concluded))
    return concluded


def _take_up(registry: Registry, run: RunRow) -> None:
    with registry.engine.begin() as connection:
        runs.open_to(connection, run.id, "local")


def _left(run: RunRow) -> str:
    again = f"go on with `kat runs resume {run.id}`"
    if run.state is RunState.OPEN:
        return f"left run {run.id} to the others that work on it; {again}"
    word = "cancelled" if run.state is RunState.CANCELLED else run.reason or "interrupted"
    return f"run {run.id} was {word}; {again}"
