"""Processes at work on runs, without Celery around them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.states import RunState
from kat_data.llm.openai_http import OpenAIClient
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.pipeline.workshop import Workshop
from kat_data.registry import runs
from kat_data.registry.session import Registry
from kat_data.stages.stage import Kind
from kat_data.testing import a_query
from kat_data.testing.endpoint import Endpoint, serving
from workers import attendance
from workers.attendance import Attendance

pytestmark = pytest.mark.integration


class CutOff(Attendance):
    """An attendance on a machine from which no endpoint is reached."""

    def _shop(self, registry: Registry) -> Workshop:
        return replace(super()._shop(registry), client=lambda name, _: OpenAIClient(name, "http://127.0.0.1:1/v1"))


@pytest.fixture
def attend(registry: Registry, tmp_path: Path) -> Callable[[type[Attendance]], Any]:
    """Make an attendance that is closed at the end of a block."""

    def make(kind: type[Attendance]) -> Any:
        opened = kind(lambda: Registry(registry.url), kinds=tuple(Kind), open_sandbox=lambda: None, home=tmp_path)
        return closing(opened)

    return make


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving("--latency", 0.1) as endpoint:
        yield endpoint


@pytest.fixture
def run(registry: Registry, add_queries: Callable[..., None], endpoint: Endpoint) -> int:
    """A run of the fleet over easy queries."""
    spec = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["result"]})
    add_queries(*(a_query(f"Tell me of the result {n}.", reference=None, verifier=spec) for n in range(150)))
    return opened(registry, endpoint, seed=1)


def opened(registry: Registry, endpoint: Endpoint, *, seed: int) -> int:
    """Open a run of the fleet over the queries that are there."""
    roles = ("voters", "responder", "reasoner", "panel", "judge")
    recipe = {
        "name": "lean",
        "seed": seed,
        "endpoints": {"scripted": {"url": endpoint.url, "concurrency": 8, "retries": 0}},
        "models": {"one": {"endpoint": "scripted", "model": "one"}},
        "roles": {role: [{"model": "one", "max_tokens": 200}] for role in roles},
        "stages": ["normalise", "vote_mode", "sample_off", "sample_on", "verify", "judge_mode"],
    }
    row, _ = open_run(registry, parse_recipe(recipe, "lean.yaml"))
    with registry.engine.begin() as connection:
        runs.open_to(connection, row.id, "celery")
    return row.id


def stored(registry: Registry, run: int) -> runs.RunRow:
    with registry.engine.connect() as connection:
        return runs.get_run(connection, run)


def test_one_machine_without_the_endpoint_leaves_the_run_to_the_others(
    registry: Registry, run: int, endpoint: Endpoint, attend: Callable[..., Any]
) -> None:
    with attend(Attendance) as well, attend(CutOff) as cut_off:
        working = Thread(target=well.attend, args=[run, 60])
        working.start()
        while endpoint.requests < 20:
            assert working.is_alive()
        assert not cut_off.attend(run, 15)
        asked = stored(registry, run)
        assert (asked.state, asked.reason) == (RunState.OPEN, None)
        assert not cut_off.attend(run, 15)  # for a while it does not try again
        working.join()
        assert stored(registry, run).state is RunState.FINISHED


def test_where_nobody_reaches_the_endpoint_the_run_stops(
    registry: Registry, run: int, attend: Callable[..., Any]
) -> None:
    with attend(CutOff) as cut_off:
        assert not cut_off.attend(run, 15)
    ended = stored(registry, run)
    assert ended.state is RunState.STOPPED
    assert "cannot be reached: start it" in str(ended.reason)


def test_what_it_closes_on_is_given_back(
    registry: Registry, run: int, endpoint: Endpoint, attend: Callable[..., Any]
) -> None:
    with attend(Attendance) as working:
        while endpoint.requests < 20:
            assert working.attend(run, 0.3)
    with registry.connection(autocommit=True) as connection:
        held = connection.execute("SELECT count(*) FROM work_items WHERE worker_id IS NOT NULL").fetchone()
        asking = connection.execute("SELECT count(*) FROM calls WHERE state = 'reserved'").fetchone()
        done = connection.execute("SELECT count(*) > 0 FROM calls WHERE state = 'done'").fetchone()
    assert (held, asking, done) == ((0,), (0,), (True,))
    assert stored(registry, run).state is RunState.OPEN


class Spoilt(Attendance):
    """An attendance with a defect."""

    def _shop(self, registry: Registry) -> Workshop:
        raise KeyError("a slip")


def test_one_process_takes_two_runs_in_turn(
    registry: Registry, run: int, endpoint: Endpoint, attend: Callable[..., Any]
) -> None:
    another = opened(registry, endpoint, seed=2)
    with attend(Attendance) as working:
        turns = [run]
        for _ in range(3):
            assert working.attend(turns[-1], 0.5)
            turns.append(working.choose_next().run)
        assert turns == [run, another, run, another]
    with registry.connection() as connection:  # neither was torn down between its turns
        assert connection.execute("SELECT count(*) FROM workers").fetchone() == (2,)


def test_a_defect_is_not_tried_again_at_once(
    registry: Registry, run: int, attend: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with attend(Spoilt) as spoilt:
        for _ in range(3):
            assert not spoilt.attend(run, 15)
        assert [record.message for record in caplog.records] == [f"a defect ended the session of run {run}"]
        assert spoilt.choose_next() is None
    assert stored(registry, run).state is RunState.OPEN


def test_a_finished_session_is_forgotten(registry: Registry, run: int, attend: Callable[..., Any]) -> None:
    with attend(Attendance) as working:
        assert not working.attend(run, 60)
        assert stored(registry, run).state is RunState.FINISHED
        assert working._of_run == {}
        assert working.choose_next() is None
        assert working._attended == {}


def test_a_registry_that_is_away_is_one_line(
    tmp_path: Path, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    away = Registry("postgresql://me@127.0.0.1:1/kat")
    opening = Attendance(lambda: away, kinds=tuple(Kind), open_sandbox=lambda: None, home=tmp_path)
    with closing(opening) as working:
        assert not working.attend(1, 15)
        assert working.choose_next() is None
    assert [record.message for record in caplog.records] == ["registry.lost"]


def test_leaving_waits_for_calls_under_way_but_not_for_ever(
    registry: Registry,
    run: int,
    attend: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = asyncio.Event()

    async def for_ever(*_: Any) -> None:
        await let_go.wait()

    monkeypatch.setattr(attendance, "LEAVE_SECONDS", 0.2)
    monkeypatch.setattr(RunJob, "work", for_ever)
    with attend(Attendance) as working:
        assert working.attend(run, 1.0)
        working.close()
        assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["sessions.abandoned"]
        working._loop.call_soon_threadsafe(let_go.set)
