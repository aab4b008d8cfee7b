"""What a process works on runs with, and one worker's part in one of them, wired for as long as it lasts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kat_data.clock import Clock, SystemClock
from kat_data.errors import RunInterrupted
from kat_data.llm.gateway import Counters, Gateway
from kat_data.llm.shared_limit import Sharing
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.clustering import cluster_run
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.look import look
from kat_data.pipeline.mixture import next_round
from kat_data.pipeline.observing import timed
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe
from kat_data.pipeline.run import check_context
from kat_data.pipeline.wiring import (
    MakeClient,
    batch_endpoints,
    build_embedder,
    build_gateway,
    build_models,
    is_recorded,
    make_client,
    open_budget,
)
from kat_data.registry.batches import PostgresBook
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.registry.slices import PostgresSlices
from kat_data.registry.worker import Worker
from kat_data.snapshots.record import TrainingStage
from kat_data.stages.cluster import ClusterQueries
from kat_data.stages.stage import Index, Kind, Tools
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.model_judge import ModelJudge


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a run has done since this process took it up; `items` counts ends, `calls` is the gateway's account."""

    items: Counter[str] = field(default_factory=Counter)
    calls: Counters = field(default_factory=Counters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a process keeps for all the runs that it works on.

    `client` makes the client of an endpoint. Under `home` bulks of queries are looked up in files; without one in
    Postgres alone. `observer` is told of what only this process knows.
    """

    registry: Registry
    verifiers: Verifiers
    client: MakeClient = make_client
    clock: Clock = field(default_factory=SystemClock)
    home: Path | None = None
    observer: Observer = UNOBSERVED

    @asynccontextmanager
    async def open_job(
        self,
        row: RunRow,
        recipe: Recipe,
        *,
        stop: asyncio.Event,
        kinds: Collection[Kind] = tuple(Kind),
        observe: Callable[[Progress], None] = lambda _: None,
    ) -> AsyncIterator[RunJob]:
        """Register a worker of the run, and wire everything that its stages need; what it leases goes back at the end.

        Once `stop` is set, no more calls are sent. Raises `UserError` where what decides the run's samples has changed
        since it was opened, `RegistryError` and psycopg's `OperationalError` where the database is lost.
        """
        await asyncio.to_thread(self._check_context, row, recipe)
        async with AsyncExitStack() as parts:
            worker = await parts.enter_async_context(
                await Worker.start(self.registry, self.clock, self.observer, run=row.id)
            )
            gateway = await parts.enter_async_context(self._open_gateway(row.id, worker.id, recipe))
            parts.callback(asyncio.create_task(_stop_calls(stop, gateway)).cancel)
            observe(Progress(calls=gateway.counters))
            await self._cluster(row.id, recipe, gateway)
            index = await asyncio.to_thread(
                look, self.registry, row.id, recipe.stages, seed=recipe.seed, home=self.home
            )
            plan = Plan(recipe.stages)
            job = RunJob(
                run=row.id,
                worker=worker,
                plan=plan,
                let_on=partial(asyncio.to_thread, next_round, self.registry, row.id, plan),
                kinds=kinds,
                tools=self._tools(recipe, gateway, index),
                attempts=recipe.attempts,
                feeds=TrainingStage(recipe.snapshot.stage),
                clock=self.clock,
                stop=stop,
                observer=self.observer,
            )
            observe(Progress(items=job.counts, calls=gateway.counters))
            yield job

    def _check_context(self, row: RunRow, recipe: Recipe) -> None:
        with self.registry.engine.begin() as connection:
            check_context(connection, row, recipe)

    @asynccontextmanager
    async def _open_gateway(self, run: int, worker: int, recipe: Recipe) -> AsyncIterator[Gateway]:
        """Open the gateway with what it leases: the ledger, slices of the budget and of the limits, the batches."""
        recorded = is_recorded(recipe)
        async with AsyncExitStack() as parts:
            ledger = await PostgresLedger.open(
                self.registry, run=run, worker=worker, clock=self.clock, recorded=recorded, observer=self.observer
            )
            parts.push_async_callback(ledger.close)
            budget = await parts.enter_async_context(
                open_budget(self.registry, recipe, run=run, worker=worker, clock=self.clock)
            )
            sharing = None
            if not recorded:
                slices = await PostgresSlices.open_for(self.registry, worker=worker)
                sharing = await parts.enter_async_context(Sharing(slices, self.clock))
            book = PostgresBook(self.registry, run=run, worker=worker)
            parts.push_async_callback(book.close)
            gateway = build_gateway(recipe, ledger, budget, self.clock, self.client, sharing, book, self.observer)
            parts.push_async_callback(gateway.close)
            await gateway.adopt_batches()
            yield gateway

    def _tools(self, recipe: Recipe, gateway: Gateway, index: Index) -> Tools:
        return Tools(
            models=build_models(recipe, gateway),
            verify=timed(self.verifiers, self.observer, self.clock),
            admit=self.verifiers.admit,
            compare=ModelJudge().compare,
            group=self.verifiers.group,
            execute=self.verifiers.execute,
            index=index,
            seed=recipe.seed,
        )

    async def _cluster(self, run: int, recipe: Recipe, gateway: Gateway) -> None:
        """Find the run's semantic clusters before its first item, where a stage asks for them."""
        if any(isinstance(stage, ClusterQueries) for stage in recipe.stages):
            member = recipe.models[recipe.roles["embedder"][0].model]
            at_once = recipe.endpoints[member.endpoint].concurrency
            await cluster_run(self.registry, run, recipe.stages, build_embedder(recipe, gateway), at_once=at_once)


def items_in_flight(recipe: Recipe) -> int:
    """Return how many items keep every endpoint busy while some of them verify or commit, and fill batches."""
    busy = 2 * sum(spec.concurrency for spec in recipe.endpoints.values())
    return max(8, busy, *(recipe.endpoints[name].batch.items for name in batch_endpoints(recipe)))


async def _stop_calls(stop: asyncio.Event, gateway: Gateway) -> None:
    """End also the stages that have many calls ahead: what is under way is stored, and nothing more is sent."""
    await stop.wait()
    gateway.stop(RunInterrupted("the run was interrupted"))
