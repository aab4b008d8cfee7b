"""Four workers on one budget, real processes that get killed: the cap is never passed and nearly used up."""

import asyncio
import itertools
import sys
from typing import Any

import orjson
import pytest

from kat_data.domain.call import CallRequest, Charge, FinishReason, Price, Reply, Sampling, Usage
from kat_data.llm.estimate import upper_bound
from kat_data.registry.overview import run_overview
from kat_data.registry.session import Registry
from kat_data.testing import a_request
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.integration

WORKERS = 4
QUESTIONS = 240
PRICE = Price(prompt=1000.0, completion=1000.0)  # a tenth of a cent for a token

WORKER = """
import asyncio, sys
from contextlib import AsyncExitStack
from kat_data.clock import SystemClock
from kat_data.domain.call import Price, Sampling
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.gateway import Gateway
from kat_data.llm.leased_budget import LeasedBudget
from kat_data.llm.openai_http import OpenAIClient
from kat_data.registry.budgets import PostgresPurse
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.testing import a_request

async def main(database, url, numbers):
    registry, clock, price = Registry(database), SystemClock(), Price(prompt=1000.0, completion=1000.0)
    async with AsyncExitStack() as parts:
        worker = await parts.enter_async_context(await Worker.start(registry, clock))
        ledger = await PostgresLedger.open(registry, run=1, worker=worker.id, clock=clock)
        parts.push_async_callback(ledger.close)
        purse = await parts.enter_async_context(PostgresPurse.open(registry, run=1, worker=worker.id))
        budget = await parts.enter_async_context(LeasedBudget(purse, clock))
        gateway = Gateway([Endpoint("server", OpenAIClient("server", url), concurrency=4)], ledger, budget=budget)
        parts.push_async_callback(gateway.close)
        requests = [a_request(f"question {n}", sampling=Sampling(max_tokens=20)) for n in numbers]
        calls = (gateway.call("server", request, price=price) for request in requests)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    faults = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if faults:
        sys.exit(f"{type(faults[0]).__name__}: {faults[0]}")

asyncio.run(main(sys.argv[1], sys.argv[2], range(*map(int, sys.argv[3:]))))
"""


def question(number: int) -> CallRequest:
    return a_request(f"question {number}", sampling=Sampling(max_tokens=20))


BOUND = upper_bound(question(QUESTIONS), PRICE)


def cost(number: int) -> Usage:
    """Every third call costs all that it can, the others a third of it."""
    most = upper_bound(question(number), PRICE).tokens
    return Usage(prompt_tokens=0, completion_tokens=most if number % 3 == 0 else most // 3)


class Fleet:
    """Workers on run 1, each with its part of the questions; `paid` is what the server was asked for, by its prices."""

    def __init__(self, registry: Registry) -> None:
        self.paid = 0.0
        self.served = 0
        self.kill_at: list[int] = []
        self._registry = registry
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._turn = itertools.cycle(range(WORKERS))

    def answer(self, body: dict[str, Any]) -> Reply:
        number = int(body["messages"][-1]["content"].split()[-1])
        self.served += 1
        self.paid += PRICE.cost(cost(number))
        if self.served in self.kill_at:
            self._processes[next(self._turn)].kill()
        return Reply(text="42", finish_reason=FinishReason.STOP, usage=cost(number))

    async def work(self, url: str) -> list[str]:
        """Run all workers to their ends, those that were killed again; return what they say at last."""
        return list(await asyncio.gather(*(self._part(url, number) for number in range(WORKERS))))

    async def _part(self, url: str, number: int) -> str:
        while True:
            self._processes[number] = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", WORKER, self._registry.url, url, str(number), str(QUESTIONS), str(WORKERS)),
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await process.communicate()
            if process.returncode != -9:
                return said.decode().strip()

    def cap(self, usd: float) -> None:
        with self._registry.connection(autocommit=True) as connection:
            connection.execute(
                "INSERT INTO runs (key, name, recipe, state, queries) VALUES ('run', 'test', %(recipe)s, 'open', 1)"
                " ON CONFLICT (key) DO UPDATE SET recipe = excluded.recipe",
                {"recipe": orjson.dumps({"budget": {"usd": usd, "tokens": None}}).decode()},
            )

    def charged(self) -> Charge:
        """What the run is charged, on which ledger and slices agree once everything is settled."""
        with self._registry.engine.connect() as connection:
            run = run_overview(connection, 1)
        with self._registry.connection(autocommit=True) as connection:
            slices = connection.execute("SELECT worker_id, spent_usd, spent_tokens FROM budget_slices").fetchall()
        assert run.in_flight == 0
        assert sum(row[1] for row in slices) == pytest.approx(run.usd)
        assert sum(row[2] for row in slices) == run.tokens
        return Charge(usd=run.usd, tokens=run.tokens)

    def answered(self) -> float:
        with self._registry.connection(autocommit=True) as connection:
            row = connection.execute("SELECT coalesce(sum(usd), 0) FROM calls WHERE state = 'done'").fetchone()
        assert row is not None
        return row[0]


@pytest.mark.parametrize("kills", [[], [5, 23, 40, 58]])
async def test_workers_spend_the_cap_and_not_a_cent_more(registry: Registry, kills: list[int]) -> None:
    async with asyncio.timeout(90):
        fleet = Fleet(registry)
        fleet.cap(cap := 60 * BOUND.usd)
        fleet.kill_at = kills
        async with ScriptedServer(fleet.answer, latency=0.02) as server:
            said = await fleet.work(server.url)
            stopped = [line for line in said if line]  # a worker that starts early can be done with its part
            assert stopped
            assert all(line.startswith(f"BudgetExhausted: the budget of ${cap:.2f} is reached: ") for line in stopped)
            assert not any("\n" in line for line in stopped)
            charged = fleet.charged().usd
            assert fleet.paid <= charged + 1e-9
            assert cap - BOUND.usd < charged <= cap + 1e-9
            if not kills:
                assert fleet.paid == pytest.approx(charged)

            fleet.kill_at = []
            fleet.cap(10_000.0)
            assert await fleet.work(server.url) == [""] * WORKERS
        assert fleet.answered() == pytest.approx(sum(PRICE.cost(cost(number)) for number in range(QUESTIONS)))
        assert fleet.charged().usd >= fleet.paid - 1e-9
        if not kills:
            assert fleet.served == QUESTIONS
