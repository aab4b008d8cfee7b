"""A scripted endpoint, a recipe that asks it, and whole runs of that recipe."""

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Thread
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.codec import to_json
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.domain.states import RunState
from kat_data.executors.local import execute_run
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import queries, runs
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.testing import a_query
from kat_data.testing.scripted_server import ScriptedServer

Plain = dict[str, Any]

ROLES = ("voters", "responder", "reasoner", "panel", "judge")
LEAN: Plain = {
    "name": "lean",
    "seed": 5,
    "endpoints": {"scripted": {"url": "http://127.0.0.1:1/v1", "concurrency": 8, "retries": 1}},
    "models": {"one": {"endpoint": "scripted", "model": "one", "price": {"prompt": 1.0, "completion": 2.0}}},
    "roles": {role: [{"model": "one", "max_tokens": 200}] for role in ROLES},
    "stages": ["normalise", {"vote_mode": {"random_share": 0}}, "sample_off", "sample_on", "verify", "judge_mode"],
}


class Impatient(SystemClock):
    """A clock that does not wait out backoffs."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.02))


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
def lean(server: ScriptedServer) -> Callable[..., Plain]:
    """Build a recipe of few calls and no worker processes; options change its parts."""

    def make(*, url: str | None = None, endpoint: Plain | None = None, **parts: Any) -> Plain:
        plain = copy.deepcopy(LEAN) | parts
        plain["endpoints"]["scripted"] |= {"url": url or server.url, **(endpoint or {})}
        return plain

    return make


@pytest.fixture
def overtaken(registry: Registry, add_queries) -> Callable[..., None]:
    """Do some work while the import of a query is under way, which ends once the work waits for it.

    The query's id is lower than one that is there already: a mark at the highest id would pass it over.
    """

    def overtake(query: Query, *, by: Query, work: Callable[[Registry], object]) -> None:
        with registry.connection() as late:
            add_queries(a_query("Something else."))  # the source is there
            late.execute(
                "INSERT INTO queries (hash, raw_fingerprint, category, messages, source_id)"
                " SELECT %s, 0, %s, %s, id FROM sources",
                [query.hash, query.category, to_json(query.messages).decode()],
            )
            add_queries(by)
            thread = Thread(target=work, args=[registry])
            thread.start()
            with registry.connection(autocommit=True) as watch:
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareLock'"
                while watch.execute(waiting).fetchone() == (0,):
                    assert thread.is_alive()
            late.commit()
            thread.join()

    return overtake


@pytest.fixture
def easy_queries() -> tuple[Query, ...]:
    """Queries whose verifier accepts every answer of the obedient script."""
    spec = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["result"]})
    return tuple(a_query(f"Tell me of the result {n}.", reference=None, verifier=spec) for n in range(12))


@pytest.fixture
def run(registry: Registry) -> Callable[..., Awaitable[RunRow]]:
    """Open or resume the run of a recipe given as plain values, and work on it in this process."""

    async def run_(plain: Plain, **options: Any) -> RunRow:
        row, _ = open_run(registry, parse_recipe(plain, "recipe.yaml"))
        return await execute_run(registry, row, clock=Impatient(), **options)

    return run_


class Look:
    """What the registry holds of runs."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def runs(self) -> list[RunRow]:
        with self._registry.engine.connect() as connection:
            return runs.list_runs(connection)

    def stored(self, run: int) -> RunRow:
        with self._registry.engine.connect() as connection:
            return runs.get_run(connection, run)

    def ends(self, run: int) -> dict[str, int]:
        """Return how many items of a run stand in each state."""
        found: dict[str, int] = {}
        with self._registry.engine.connect() as connection:
            for row in runs.funnel(connection, run):
                found[row.state] = found.get(row.state, 0) + row.items
        return found

    def reasons(self, run: int) -> set[str | None]:
        with self._registry.engine.connect() as connection:
            return {row.reason for row in runs.funnel(connection, run) if row.state != "accepted"}

    def spent(self, run: int) -> float:
        with self._registry.engine.connect() as connection:
            return queries.run_cost(connection, run).usd


@pytest.fixture
def look(registry: Registry) -> Look:
    return Look(registry)


@pytest.fixture
def assert_resumes(run: Callable[..., Awaitable[RunRow]], look: Look) -> Callable[[Plain, int], Awaitable[None]]:
    """Assert that the mended recipe takes up the same run and accepts every easy query."""

    async def check(plain: Plain, ident: int) -> None:
        finished = await run(plain)
        assert (finished.id, finished.state, finished.reason) == (ident, RunState.FINISHED, None)
        assert look.ends(ident) == {"accepted": 12}

    return check
