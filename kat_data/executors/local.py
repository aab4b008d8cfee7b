"""The local executor: a run in this process.

Wire it, work until it is done or has to stop, and leave its state behind.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg

from kat_data.clock import Clock, SystemClock
from kat_data.domain.states import RunState
from kat_data.errors import KatError, RegistryError, RunBusy, RunInterrupted
from kat_data.executors.drain import drain
from kat_data.llm.gateway import Counters, Gateway
from kat_data.logs import bound, note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.clustering import cluster_run
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.look import look
from kat_data.pipeline.mixture import next_round
from kat_data.pipeline.observing import timed
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.pipeline.run import check_context
from kat_data.pipeline.wiring import MakeClient, build_embedder, build_gateway, build_models, is_recorded, make_client
from kat_data.registry import runs
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.sandbox.base import Sandbox
from kat_data.stages.cluster import ClusterQueries
from kat_data.stages.stage import Tools
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.model_judge import ModelJudge

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a run has done since this process took it up; `items` counts ends, `calls` is the gateway's account."""

    items: Counter[str] = field(default_factory=Counter)
    calls: Counters = field(default_factory=Counters)


async def execute_run(
    registry: Registry,
    run: runs.RunRow,
    *,
    stop: asyncio.Event | None = None,
    client: MakeClient = make_client,
    clock: Clock | None = None,
    open_sandbox: Callable[[], Sandbox | None] = lambda: None,
    home: Path | None = None,
    observe: Callable[[Progress], None] = lambda _: None,
    observer: Observer = UNOBSERVED,
) -> runs.RunRow:
    """Work on a run until every item has ended; returns the finished run.

    `open_sandbox` opens the place where programs run, with the first of them; without one they are not verified.
    Under `home` bulks of queries are looked up in files; without one in Postgres alone.

    Raises `RunStopped` (endpoint, budget, `stop` set, cancelled) after what was in flight is stored; the run can be
    resumed. Raises `RunBusy` where another process works on it, `RegistryError` where the database is lost.
    """
    clock = clock or SystemClock()
    recipe = parse_recipe(run.recipe, f"run {run.id}")
    with registry.connection(autocommit=True) as guard:
        held = guard.execute(runs.LOCK_RUN, {"run": run.id}).fetchone()
        if held != (True,):
            raise RunBusy(f"another process works on run {run.id}: wait for it, or stop it first")
        with registry.engine.begin() as connection:
            check_context(connection, run, recipe)
            runs.set_state(connection, run.id, RunState.OPEN)
        note(_log, logging.INFO, "run.taken_up", run=run.id, recipe=run.name, queries=run.queries)
        try:
            verifiers = Verifiers(open_sandbox=open_sandbox)
            with bound(run=run.id):
                await _work(
                    registry, run.id, recipe, stop or asyncio.Event(), client, clock, verifiers, home, observe, observer
                )
        except RunInterrupted:
            pass  # asked for, here or by `kat runs cancel`: the run's state tells which
        except KatError as error:
            _note_stop(registry, run.id, str(error))
            note(_log, logging.ERROR, "run.stopped", run=run.id, error=error, reason=str(error))
            raise
        except psycopg.OperationalError as error:
            reason = str(error).partition("\n")[0]
            raise RegistryError(f"lost the database: {reason}; start it and run the same command again") from error
        concluded = _conclude(registry, run.id)
    note(_log, logging.INFO, f"run.{concluded.state.value}", run=run.id, reason=concluded.reason)
    if concluded.state is not RunState.FINISHED:
        word = "cancelled" if concluded.state is RunState.CANCELLED else "interrupted"
        raise RunInterrupted(f"run {run.id} was {word}; go on with `kat runs resume {run.id}`")
    return concluded


async def _work(
    registry: Registry,
    run: int,
    recipe: Recipe,
    stop: asyncio.Event,
    client: MakeClient,
    clock: Clock,
    verifiers: Verifiers,
    home: Path | None,
    observe: Callable[[Progress], None],
    observer: Observer,
) -> None:
    async with AsyncExitStack() as parts:
        worker = await parts.enter_async_context(await Worker.start(registry, clock, observer))
        ledger = await PostgresLedger.open(
            registry, run=run, worker=worker.id, clock=clock, recorded=is_recorded(recipe), observer=observer
        )
        parts.push_async_callback(ledger.close)
        gateway = build_gateway(recipe, ledger, await ledger.spent(), clock, client, observer)
        parts.push_async_callback(gateway.close)
        parts.enter_context(verifiers)
        parts.callback(asyncio.create_task(_stop_calls(stop, gateway)).cancel)
        observe(Progress(calls=gateway.counters))
        await _cluster(registry, run, recipe, gateway)
        index = await asyncio.to_thread(look, registry, run, recipe.stages, seed=recipe.seed, home=home)
        plan = Plan(recipe.stages)
        job = RunJob(
            run=run,
            worker=worker,
            plan=plan,
            let_on=partial(asyncio.to_thread, next_round, registry, run, plan),
            tools=Tools(
                models=build_models(recipe, gateway),
                verify=timed(verifiers, observer, clock),
                admit=verifiers.admit,
                compare=ModelJudge().compare,
                group=verifiers.group,
                execute=verifiers.execute,
                index=index,
                seed=recipe.seed,
            ),
            attempts=recipe.attempts,
            clock=clock,
            stop=stop,
            observer=observer,
        )
        observe(Progress(items=job.counts, calls=gateway.counters))
        await drain(job, in_flight=_in_flight(recipe), clock=clock, stop=stop)


async def _cluster(registry: Registry, run: int, recipe: Recipe, gateway: Gateway) -> None:
    """Find the run's semantic clusters before its first item, where a stage asks for them."""
    if any(isinstance(stage, ClusterQueries) for stage in recipe.stages):
        member = recipe.models[recipe.roles["embedder"][0].model]
        at_once = recipe.endpoints[member.endpoint].concurrency
        await cluster_run(registry, run, recipe.stages, build_embedder(recipe, gateway), at_once=at_once)


async def _stop_calls(stop: asyncio.Event, gateway: Gateway) -> None:
    """End also the stages that have many calls ahead: what is under way is stored, and nothing more is sent."""
    await stop.wait()
    gateway.stop(RunInterrupted("the run was interrupted"))


def _in_flight(recipe: Recipe) -> int:
    """Items enough to keep every endpoint busy while some of them verify or commit."""
    return max(8, 2 * sum(spec.concurrency for spec in recipe.endpoints.values()))


def _conclude(registry: Registry, run: int) -> runs.RunRow:
    with registry.engine.begin() as connection:
        if runs.get_run(connection, run).state is not RunState.OPEN:
            pass  # cancelled meanwhile
        elif runs.unfinished(connection, run):
            runs.set_state(connection, run, RunState.STOPPED, "interrupted")
        else:
            runs.fold_counters(connection, run)
            runs.set_state(connection, run, RunState.FINISHED)
        return runs.get_run(connection, run)


def _note_stop(registry: Registry, run: int, reason: str) -> None:
    """Leave the reason behind; a run that was cancelled meanwhile stays so."""
    with registry.engine.begin() as connection:
        if runs.get_run(connection, run).state is RunState.OPEN:
            runs.set_state(connection, run, RunState.STOPPED, reason)
