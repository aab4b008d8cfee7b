"""Every way in which the work on a run can end, and in which state that leaves the run."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors

from kat_data.clock import SystemClock
from kat_data.domain.states import RunState
from kat_data.errors import (
    BudgetExhausted,
    EndpointDown,
    RecipeError,
    RegistryError,
    RunInterrupted,
    SandboxMissing,
    WorkerLost,
)
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.pipeline.work import Ending, How, work_on
from kat_data.pipeline.workshop import Workshop
from kat_data.registry import runs
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.verifiers.dispatch import Verifiers

pytestmark = pytest.mark.integration


class Work:
    """Works on a run by raising an error, or by doing nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def __call__(self, run: int, error: Exception | None = None, executor: Any = "celery") -> Ending:
        async def work(*_: Any) -> None:
            if error is not None:
                raise error

        with Verifiers() as verifiers:
            shop = Workshop(registry=self._registry, verifiers=verifiers)
            return await work_on(shop, run, work, executor=executor, stop=asyncio.Event())


@pytest.fixture
def work(registry: Registry) -> Work:
    return Work(registry)


@pytest.fixture
def opened(registry: Registry, lean: Callable[..., Any], add_queries, easy_queries) -> Callable[..., int]:
    """Open a run to the fleet."""

    def open_(**endpoint: Any) -> int:
        add_queries(*easy_queries)
        plain = lean(endpoint=endpoint)
        if endpoint.keys() & {"recording", "provider"}:
            del plain["endpoints"]["scripted"]["url"]
        row, _ = open_run(registry, parse_recipe(plain, "lean.yaml"))
        with registry.engine.begin() as connection:
            runs.open_to(connection, row.id, "celery")
        return row.id

    return open_


def set_state(registry: Registry, run: int, state: RunState) -> None:
    with registry.engine.begin() as connection:
        runs.set_state(connection, run, state)


@pytest.mark.parametrize(
    ("error", "how", "state"),
    [
        (None, How.LEFT, RunState.OPEN),
        (RunInterrupted("asked"), How.LEFT, RunState.OPEN),
        (WorkerLost("taken for dead"), How.WORKER_LOST, RunState.OPEN),
        (psycopg.OperationalError("the connection is closed"), How.REGISTRY_LOST, RunState.OPEN),
        (RegistryError("no connection"), How.REGISTRY_LOST, RunState.OPEN),
        (SandboxMissing("no bwrap"), How.LACKING, RunState.OPEN),
        (EndpointDown("down"), How.STOPPED, RunState.STOPPED),
        (BudgetExhausted("spent"), How.STOPPED, RunState.STOPPED),
        (RecipeError("no judge"), How.STOPPED, RunState.STOPPED),
        (errors.DeadlockDetected("deadlock"), How.DEFECT, RunState.OPEN),
        (ValueError("a slip"), How.DEFECT, RunState.OPEN),
    ],
)
async def test_what_ends_the_work(work: Work, opened, look, error: Exception | None, how: How, state: RunState) -> None:
    run = opened()
    ending = await work(run, error)
    assert ending.how is how
    assert look.stored(run).state is state
    assert look.stored(run).reason == (str(error) if state is RunState.STOPPED else None)
    if ending.run is None:
        assert ending.error is error


async def test_an_endpoint_that_others_may_reach_does_not_stop_their_run(
    registry: Registry, work: Work, opened, look
) -> None:
    run = opened()
    async with await Worker.start(registry, SystemClock(), run=run):
        assert (await work(run, EndpointDown("down"))).how is How.LACKING
    assert look.stored(run).state is RunState.OPEN


async def test_a_run_whose_items_have_all_ended_is_finished(registry: Registry, work: Work, opened, look) -> None:
    run = opened()
    with registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE work_items SET state = 'dropped'")
    ending = await work(run)
    assert (ending.how, ending.run) == (How.FINISHED, look.stored(run))
    assert look.stored(run).state is RunState.FINISHED


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.CANCELLED])
async def test_the_fleet_takes_up_open_runs_alone(
    registry: Registry, work: Work, opened, look, state: RunState
) -> None:
    run = opened()
    set_state(registry, run, state)
    assert (await work(run, ValueError("worked on"))).how is How.INTERRUPTED
    assert look.stored(run).state is state
    assert (await work(run, RunInterrupted("asked"), "local")).how is How.INTERRUPTED
    assert (look.stored(run).state, look.stored(run).reason) == (RunState.STOPPED, "interrupted")


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({"key_env": "KAT_TEST_NO_KEY"}, "KAT_TEST_NO_KEY, which is not set"),
        ({"recording": "nowhere.jsonl.gz"}, "nowhere.jsonl.gz cannot be read"),
        ({"provider": "litellm"}, "needs litellm"),
    ],
)
async def test_what_one_machine_lacks_leaves_the_run_to_others(
    work: Work, opened, look, monkeypatch: pytest.MonkeyPatch, endpoint: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("kat_data.llm.litellm_client.importlib.util.find_spec", lambda _: None)
    run = opened(**endpoint)
    ending = await work(run, ValueError("worked on"))
    assert ending.how is How.LACKING
    assert message in ending.reason
    assert look.stored(run).state is RunState.OPEN


async def test_a_cancel_meanwhile_stays(registry: Registry, work: Work, opened, look) -> None:
    run = opened()
    set_state(registry, run, RunState.CANCELLED)
    for error in (BudgetExhausted("spent"), RunInterrupted("asked")):
        with registry.engine.begin() as connection:
            assert not runs.stop(connection, run, error)
            assert not runs.stop_left(connection, run)
            assert not runs.finish(connection, run)
    assert look.stored(run).state is RunState.CANCELLED
