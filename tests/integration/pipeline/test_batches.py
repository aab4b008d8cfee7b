"""Runs whose roles are asked in batches: the same samples for half the money, and no row handed in twice."""

import asyncio
import copy
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiohttp import web

from kat_data.domain.states import RunState
from kat_data.registry import migrate, queries
from kat_data.registry.session import Registry
from kat_data.testing import a_query
from kat_data.testing.anthropic_server import AnthropicServer
from kat_data.testing.batch_desk import Course
from kat_data.testing.batch_server import BatchServer
from kat_data.testing.patience import PATIENCE_SECONDS, until

pytestmark = pytest.mark.integration

Plain = dict[str, Any]
ROLES = ("voters", "responder", "reasoner", "judge")


class Fatal:
    """Kills the process which hands a batch in, before or after the server has taken the batch."""

    process: asyncio.subprocess.Process | None = None
    before = False

    async def murder(self, take: Callable[[web.Request], Any], request: web.Request) -> web.Response:
        process, self.process = self.process, None
        if process is not None and self.before:
            process.kill()
            return web.Response(status=500)
        answer = await take(request)
        if process is not None:
            process.kill()
        return answer


class FatalOpenAI(Fatal, BatchServer):
    provider = "openai"

    async def _create(self, request: web.Request) -> web.Response:
        return await self.murder(super()._create, request)


class FatalAnthropic(Fatal, AnthropicServer):
    provider = "anthropic"

    async def _hand_in(self, request: web.Request) -> web.Response:
        return await self.murder(super()._hand_in, request)


each_provider = pytest.mark.parametrize("server", [FatalOpenAI, FatalAnthropic], indirect=True)


@pytest.fixture
async def server(request) -> AsyncIterator[Any]:
    async with getattr(request, "param", FatalOpenAI)() as server:
        yield server


@pytest.fixture
def patient(lean: Callable[..., Plain], server: Any) -> Callable[..., Plain]:
    """Build a recipe whose roles wait for batches."""

    def make(*roles: str, **parts: Any) -> Plain:
        batch = {"gather": 0.5, "poll": 0.2, **parts.pop("batch", {})}
        plain = copy.deepcopy(lean(endpoint={"batch": batch, "provider": server.provider}, **parts))
        for role in roles or ROLES:
            plain["roles"][role][0]["mode"] = "batch"
        return plain

    return make


def sums() -> list[Any]:
    return [a_query(f"What is {n} + {3 * n}?", reference=str(4 * n)) for n in range(60)]


def samples(registry: Registry) -> set[tuple[str, str]]:
    with registry.connection(autocommit=True) as connection:
        rows = connection.execute(
            "SELECT encode(queries.hash, 'hex'), state || coalesce(encode(samples.hash, 'hex'), '')"
            " FROM work_items JOIN queries ON queries.id = query_id LEFT JOIN samples USING (run_id, query_id)"
        ).fetchall()
    return set(rows)


def batch_rows(registry: Registry) -> list[tuple[Any, ...]]:
    with registry.connection(autocommit=True) as connection:
        return connection.execute("SELECT state, outcome, rows, done FROM batches ORDER BY id").fetchall()


@each_provider
async def test_a_run_in_batches_gives_what_it_gives_at_once_for_half_the_money(
    registry, bare_database, server, run, patient, lean, add_queries, look
) -> None:
    migrate.upgrade(bare_database.url)
    for database in (registry, bare_database):
        add_queries(*sums(), to=database)
    server.desk.plan(Course(looks=4), Course(end="expired", answered=7))
    waited = await run(patient())
    assert waited.state is RunState.FINISHED
    assert server.statistics.requests == 0
    rows = [len(batch.rows) for batch in server.desk.batches.values()]
    assert max(rows) > 20
    done = "ended" if server.provider == "anthropic" else "completed"
    assert {row[:2] for row in batch_rows(registry)} == {("ended", done), ("ended", "expired")}
    assert [row[2] for row in batch_rows(registry)] == rows
    with registry.engine.connect() as connection:
        cost = queries.run_cost(connection, waited.id)
    assert cost.made == len(server.desk.handed_in)
    assert sum(rows) == cost.made + rows[1] - 7

    from kat_data.executors.local import execute_run
    from kat_data.pipeline.recipe import parse_recipe
    from kat_data.pipeline.run import open_run

    row, _ = open_run(bare_database, parse_recipe(lean(endpoint={"provider": server.provider}), "recipe.yaml"))
    at_once = await execute_run(bare_database, row)
    assert samples(registry) == samples(bare_database)
    with bare_database.engine.connect() as connection:
        assert cost.usd == pytest.approx(queries.run_cost(connection, at_once.id).usd / 2)


async def test_the_same_recipe_at_once_is_the_same_run(server, run, patient, lean, add_queries) -> None:
    add_queries(*sums())
    waited = await run(patient())
    again = await run(lean())
    assert (again.id, again.state, server.statistics.requests) == (waited.id, RunState.FINISHED, 0)


async def test_a_batch_below_the_budget_is_settled_at_what_it_cost(server, run, patient, add_queries, look) -> None:
    add_queries(*sums())
    finished = await run(patient(budget={"usd": 0.05}))
    assert finished.state is RunState.FINISHED
    assert look.spent(finished.id) <= 0.05
    assert len(server.desk.batches) > 4  # more than a stage's rows at once did not fit


class Command:
    """`kat run` of one recipe in processes of their own."""

    def __init__(self, registry: Registry, folder: Path, recipe: Plain) -> None:
        self._registry = registry
        self._folder = folder
        self._path = folder / "patient.yaml"
        self._path.write_text(yaml.safe_dump(recipe))

    async def start(self) -> asyncio.subprocess.Process:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KAT_")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kat_data.cli.main", "run", str(self._path), "--json"),
            env=environment | {"KAT_DATABASE_URL": self._registry.url, "KAT_HOME": str(self._folder)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    async def finish(self) -> None:
        process = await self.start()
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert process.returncode == 0, said.decode()


async def seen(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(until, condition, what)


async def handed_in(registry: Registry, rows: int = 1) -> None:
    """Wait until so many rows are with the endpoint, and no others on the way to it."""

    def there() -> bool:
        found = batch_rows(registry)
        return {batch[0] for batch in found} == {"submitted"} and sum(batch[2] for batch in found) >= rows

    await seen(there, f"{rows} rows in batches")


@pytest.mark.parametrize("end", ["completed", "expired"])
async def test_a_killed_process_leaves_its_batch_to_the_next(
    registry, server, patient, add_queries, look, tmp_path, end
) -> None:
    add_queries(*sums())
    command = Command(registry, tmp_path, patient(budget={"usd": 0.05}))  # what not all rows of a stage fit into
    server.desk.held = True
    server.desk.plan(Course(end=end, answered=30 if end == "expired" else None))
    process = await command.start()
    await handed_in(registry)
    process.kill()
    await process.wait()
    server.desk.held = False
    await command.finish()
    first, *_ = server.desk.batches.values()
    assert server.desk.handed_in.total() == len(server.desk.handed_in) + len(first.left)
    assert all(server.desk.handed_in[ident] == 2 for ident, _ in first.left)
    [row] = look.runs()
    assert row.state is RunState.FINISHED
    with registry.engine.connect() as connection:
        cost = queries.run_cost(connection, row.id)
    assert cost.made == len(server.desk.handed_in)
    assert cost.usd <= 0.05
    assert lost(registry) == 0


@each_provider
@pytest.mark.parametrize("before", [True, False])
async def test_a_kill_while_a_batch_is_handed_in_hands_it_in_once(
    registry, server, patient, add_queries, look, tmp_path, before
) -> None:
    add_queries(*sums())
    command = Command(registry, tmp_path, patient())
    server.before = before
    server.process = await command.start()
    process = server.process
    await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
    assert [row[0] for row in batch_rows(registry)] == ["submitting"]
    assert len(server.desk.batches) == (0 if before else 1)
    await command.finish()
    assert server.desk.handed_in.total() == len(server.desk.handed_in)
    [row] = look.runs()
    assert row.state is RunState.FINISHED
    assert lost(registry) == 0


def lost(registry: Registry) -> float:
    with registry.connection(autocommit=True) as connection:
        return float(connection.execute("SELECT sum(lost_usd) FROM runs").fetchone()[0])


async def test_a_run_asks_at_once_what_another_has_in_a_batch_and_waits_for_it(
    registry, server, run, patient, lean, add_queries, look
) -> None:
    add_queries(*sums())
    server.desk.held = True
    waited = asyncio.create_task(run(patient("voters")))
    await handed_in(registry, 60)
    other = asyncio.create_task(run(lean(name="other")))
    await seen(lambda: normalised(registry) >= 60 + 8, "items of the other run that come to their votes")
    server.desk.held = False
    first, second = await waited, await other
    votes = {orjson.dumps(body["messages"]) for batch in server.desk.batches.values() for _, body in batch.rows}
    assert server.bodies
    assert votes.isdisjoint(orjson.dumps(body["messages"]) for body in server.bodies)
    assert (first.state, second.state) == (RunState.FINISHED, RunState.FINISHED)
    assert server.statistics.duplicates == 0
    with registry.engine.connect() as connection:
        made = [queries.run_cost(connection, row.id).made for row in (first, second)]
    assert sum(made) == server.statistics.requests + server.desk.handed_in.total()


def normalised(registry: Registry) -> int:
    with registry.connection(autocommit=True) as connection:
        found = connection.execute("SELECT count(*) FROM stage_attempts WHERE stage = 'normalise'").fetchone()
    return int(found[0])


async def test_a_batch_is_fetched_also_by_a_run_that_asks_at_once_now(
    registry, server, run, patient, lean, add_queries, tmp_path
) -> None:
    add_queries(*sums())
    server.desk.held = True
    process = await Command(registry, tmp_path, patient("voters")).start()
    await handed_in(registry, 60)
    process.terminate()  # it does not wait for its batches
    await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
    server.desk.held = False
    finished = await run(lean())
    assert finished.state is RunState.FINISHED
    assert server.desk.handed_in.total() == 60
    assert {row[:2] for row in batch_rows(registry)} == {("ended", "completed")}
    with registry.engine.connect() as connection:
        assert queries.run_cost(connection, finished.id).made == 60 + server.statistics.requests


async def test_two_processes_at_one_run_share_it_and_one_fetches_what_the_other_leaves(
    registry, server, patient, add_queries, look, tmp_path
) -> None:
    add_queries(*sums())
    command = Command(registry, tmp_path, patient(batch={"items": 30}))
    server.desk.held = True
    first, second = await command.start(), await command.start()
    await handed_in(registry, 60)
    first.kill()
    await first.wait()
    server.desk.held = False
    _, said = await asyncio.wait_for(second.communicate(), PATIENCE_SECONDS)
    assert second.returncode == 0, said.decode()
    assert server.desk.handed_in.total() == len(server.desk.handed_in)
    assert look.ends(look.runs()[0].id).keys() <= {"accepted", "dropped"}
    assert lost(registry) == 0
