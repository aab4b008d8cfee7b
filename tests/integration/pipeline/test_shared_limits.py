"""Several processes work on one run: what the endpoint sees never exceeds its limits."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kat_data.domain.call import Reply
from kat_data.registry.session import Registry
from kat_data.testing import a_query
from kat_data.testing.obedient import obedient
from kat_data.testing.patience import PATIENCE_SECONDS, until
from kat_data.testing.scripted_server import Fault, ScriptedServer

pytestmark = pytest.mark.integration

Plain = dict[str, Any]

PAUSE_SECONDS = 10
HEARD_SECONDS = 4.0
"""Within which every worker has heard of a pause, by a notice or its next renewal, on a busy machine, too."""


class Crew:
    """Processes of `kat run` on one database, and what the endpoint saw of them: when each request was answered."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.seen: list[float] = []
        self.fault_at: dict[int, Fault] = {}
        self.processes: list[asyncio.subprocess.Process] = []
        self._registry = registry
        self._folder = folder

    def answer(self, body: Plain) -> Reply | Fault:
        self.seen.append(time.monotonic())
        return self.fault_at.pop(len(self.seen), None) or obedient(body)

    async def start(self, recipe: Plain) -> None:
        path = self._folder / "lean.yaml"
        path.write_text(yaml.safe_dump(recipe))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KAT_")}
        with (self._folder / "said.txt").open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kat_data.cli.main", "run", str(path), "--json"),
                env=environment | {"KAT_DATABASE_URL": self._registry.url, "KAT_HOME": str(self._folder)},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
            )
        self.processes.append(process)

    async def finish(self) -> None:
        """Interrupt the processes, and wait for them."""
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(process.wait() for process in self.processes))

    async def until(self, sql: str) -> None:
        """Wait until the database holds what `sql` asks for."""
        await self.poll(lambda: self.rows(sql) == [(True,)])

    async def more(self, requests: int) -> None:
        """Wait for so many requests more."""
        goal = len(self.seen) + requests
        await self.poll(lambda: len(self.seen) >= goal)

    async def poll(self, reached: Callable[[], bool]) -> None:
        await asyncio.to_thread(until, reached, (self._folder / "said.txt").read_text)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._registry.connection(autocommit=True) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[call-overload]

    def kill(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()


@pytest.fixture
async def crew(registry: Registry, tmp_path: Path) -> AsyncIterator[Crew]:
    crew = Crew(registry, tmp_path)
    yield crew
    crew.kill()
    await crew.finish()


@pytest.fixture
def sums(add_queries: Callable[..., None]) -> None:
    """Queries for longer than any of these tests takes."""
    add_queries(*(a_query(f"What is {n} + 1?", reference=str(n + 1)) for n in range(1000)))


AT_WORK = "SELECT count(*) = {} FROM endpoint_slices WHERE seats > 0 AND wants > 0"


@pytest.mark.usefixtures("sums")
async def test_three_processes_share_the_seats_of_one_endpoint(crew: Crew, lean: Any) -> None:
    async with ScriptedServer(crew.answer, latency=0.05) as server:
        recipe = lean(url=server.url, endpoint={"concurrency": 6})
        for _ in range(3):
            await crew.start(recipe)
        await crew.until(AT_WORK.format(3))
        before = dict(crew.rows("SELECT worker_id, count(*) FROM calls GROUP BY worker_id"))
        await crew.more(120)
        after = dict(crew.rows("SELECT worker_id, count(*) FROM calls GROUP BY worker_id"))
        assert crew.rows("SELECT sum(seats) <= 6 FROM endpoint_slices") == [(True,)]
        await crew.finish()
        assert 4 <= server.statistics.peak <= 6
        assert server.statistics.duplicates == 0
    made = sorted(after[worker] - before.get(worker, 0) for worker in after)
    assert len(made) == 3
    assert made[0] > 0.15 * sum(made)
    assert crew.rows("SELECT count(*) FROM endpoint_slices") == [(0,)]


@pytest.mark.usefixtures("sums")
async def test_a_killed_processs_seats_go_to_the_other(crew: Crew, lean: Any) -> None:
    async with ScriptedServer(crew.answer, latency=0.05) as server:
        recipe = lean(url=server.url, endpoint={"concurrency": 4})
        for _ in range(2):
            await crew.start(recipe)
        await crew.until(AT_WORK.format(2))
        crew.processes[0].kill()
        await crew.until("SELECT count(*) = 1 AND max(seats) = 4 FROM endpoint_slices")
        await crew.more(20)
        await crew.finish()
        # Requests of the dead process may still be answered while the other has its seats.
        assert server.statistics.peak <= 8


@pytest.mark.usefixtures("sums")
async def test_a_retry_after_holds_for_all_processes(crew: Crew, lean: Any) -> None:
    async with ScriptedServer(crew.answer, latency=0.05) as server:
        recipe = lean(url=server.url, endpoint={"concurrency": 6, "retries": 3})
        for _ in range(3):
            await crew.start(recipe)
        await crew.until(AT_WORK.format(3))
        number = len(crew.seen) + 10
        crew.fault_at[number] = Fault(status=429, headers={"Retry-After": str(PAUSE_SECONDS)})
        await crew.more(11)
        throttled = crew.seen[number - 1]
        await crew.poll(lambda: crew.seen[-1] > throttled + PAUSE_SECONDS)
        await crew.finish()
    within = [at - throttled for at in crew.seen if throttled < at < throttled + 0.99 * PAUSE_SECONDS]
    assert all(after < HEARD_SECONDS for after in within)  # what was in flight, and sent before the others heard


@pytest.mark.usefixtures("sums")
async def test_no_more_requests_in_a_minute_than_the_recipe_says(crew: Crew, lean: Any) -> None:
    async with ScriptedServer(crew.answer, latency=0.01) as server:
        recipe = lean(url=server.url, endpoint={"concurrency": 32, "rpm": 40})
        for _ in range(3):
            await crew.start(recipe)
        await crew.more(25)
        await crew.until("SELECT count(*) = 3 AND min(asks) > 0 FROM endpoint_slices")
        [(spent,)] = crew.rows("SELECT max(reported_at) FROM endpoint_slices")
        # All have asked for more again and again since, and each could have sent hundreds.
        later = f"reported_at > '{spent.isoformat()}'::timestamptz + interval '4 seconds'"
        await crew.until(f"SELECT count(*) = 3 AND bool_and({later}) AND min(asks) > 0 FROM endpoint_slices")
        await crew.finish()
    assert max(sum(first <= at < first + 60 for at in crew.seen) for first in crew.seen) <= 40
