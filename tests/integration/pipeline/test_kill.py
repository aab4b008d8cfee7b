"""kill -9 in the middle of a run, again and again: nothing is lost, nothing is doubled, nothing is paid twice."""

import asyncio
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kat_data.domain.call import Reply
from kat_data.domain.category import Category
from kat_data.domain.query import Query
from kat_data.registry import migrate, queries, runs
from kat_data.registry.session import Registry
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

CONCURRENCY = 32
KILLS = sorted(random.Random(2507).sample(range(100, 1500), 3))  # numbers of requests served


def five_hundred() -> list[Query]:
    sums = [a_query(f"What is {n} + {3 * n}?", reference=str(4 * n)) for n in range(440)]
    turns = [
        a_query(f"What is {n} + 1?", "?", f"And {n} + 2?", reference=str(n + 2), category=Category.MULTI_TURN)
        for n in range(60)
    ]
    return sums + turns


class Run:
    """`kat run` in a process of its own on one database; `kill_at` is the request at which it gets a SIGKILL."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self._registry = registry
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._served = 0
        self.kill_at = 0

    def answer(self, body: dict[str, Any]) -> Reply:
        self._served += 1
        if self._served == self.kill_at and self._process is not None:
            self._process.kill()
        return obedient(body)

    async def command(self, recipe: dict[str, Any]) -> int | None:
        """Run the recipe until the process ends, and return its exit code."""
        path = self._folder / "lean.yaml"
        path.write_text(yaml.safe_dump(recipe))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KAT_")}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kat_data.cli.main", "run", str(path), "--json"),
            env=environment | {"KAT_DATABASE_URL": self._registry.url, "KAT_HOME": str(self._folder)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await self._process.communicate()
        assert self._process.returncode in (0, -9), said.decode()
        return self._process.returncode

    def in_flight(self) -> int:
        """Return how many calls the process that died last had reserved without a stored reply."""
        with self._registry.connection(autocommit=True) as connection:
            [row] = connection.execute(
                "SELECT count(*) FROM calls WHERE state = 'reserved' AND worker_id = (SELECT max(id) FROM workers)"
            ).fetchall()
            return int(row[0])


def outcome(registry: Registry) -> set[tuple[str, str, str]]:
    """Return query, state and sample of every item of the one run, by content hashes."""
    with registry.connection(autocommit=True) as connection:
        rows = connection.execute(
            "SELECT encode(queries.hash, 'hex'), state || coalesce(reason, ''),"
            " coalesce(encode(samples.hash, 'hex') || encode(lineage, 'hex'), '')"
            " FROM work_items JOIN queries ON queries.id = query_id LEFT JOIN samples USING (run_id, query_id)"
        ).fetchall()
    assert len(rows) == len(set(rows))
    return set(rows)


async def test_three_kills_lose_and_double_nothing(
    registry: Registry, bare_database: Registry, add_queries: Callable[..., None], lean: Any, tmp_path: Path
) -> None:
    migrate.upgrade(bare_database.url)
    for database in (registry, bare_database):
        add_queries(*five_hundred(), to=database)

    calm = Run(bare_database, tmp_path)
    async with ScriptedServer(calm.answer, latency=0.02) as server:
        server.keep_bodies = False
        assert await calm.command(lean(url=server.url, endpoint={"concurrency": CONCURRENCY})) == 0
        calls = server.statistics.requests
        assert server.statistics.duplicates == 0
    assert calls > KILLS[-1]

    killed, in_flight = Run(registry, tmp_path), []
    async with ScriptedServer(killed.answer, latency=0.02) as server:
        server.keep_bodies = False
        recipe = lean(url=server.url, endpoint={"concurrency": CONCURRENCY})
        for killed.kill_at in KILLS:
            assert await killed.command(recipe) == -9
            in_flight.append(killed.in_flight())
        assert await killed.command(recipe) == 0
        assert server.statistics.duplicates <= sum(in_flight)
        assert 0 < max(in_flight) <= 1.5 * CONCURRENCY
        assert server.statistics.requests == calls + server.statistics.duplicates

    expected = outcome(bare_database)
    assert len(expected) == 500
    assert {state for _, state, _ in expected} >= {"accepted", "droppedwrong_answer"}
    assert outcome(registry) == expected
    with registry.engine.connect() as connection:
        [row] = runs.list_runs(connection)
        assert sum(entry.items for entry in runs.funnel(connection, row.id)) == 500
        assert queries.run_cost(connection, row.id).made == calls
