"""Slices of a run's budget in Postgres: together within the cap, spent with the calls, ended with their workers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.budget import Cap
from kat_data.domain.call import Charge
from kat_data.errors import LeaseLost, WorkerLost
from kat_data.registry import migrate
from kat_data.registry.budgets import PostgresPurse
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.testing import a_reply, a_request

pytestmark = pytest.mark.integration

NOTHING = Charge()


def dollars(usd: float) -> Charge:
    return Charge(usd=usd, tokens=round(1000 * usd))


@dataclass
class Bench:
    """One worker with its ledger and its purse."""

    worker: Worker
    ledger: PostgresLedger
    purse: PostgresPurse

    async def hold(self, usd: float, *, wish: float | None = None, keep: float = 0.0) -> float | None:
        """Ask for `usd` and return what is granted."""
        wished = dollars(usd if wish is None else wish)
        return (await self.purse.lease(keep=dollars(keep), need=dollars(usd), wish=wished)).granted.usd


Start = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def start(registry: Registry) -> AsyncIterator[Start]:
    """Starts workers on run 1, whose cap is a dollar."""
    with registry.connection(autocommit=True) as connection:
        connection.execute(
            "INSERT INTO runs (key, name, recipe, state, queries)"
            """ VALUES ('1', 'test', '{"budget": {"usd": 1.0, "tokens": null}}', 'open', 1)"""
        )
    async with contextlib.AsyncExitStack() as parts:

        async def start_() -> Bench:
            worker = await parts.enter_async_context(await Worker.start(registry, SystemClock()))
            ledger = await PostgresLedger.open(registry, run=1, worker=worker.id, clock=SystemClock())
            parts.push_async_callback(ledger.close)
            purse = await parts.enter_async_context(PostgresPurse.open(registry, run=1, worker=worker.id))
            return Bench(worker=worker, ledger=ledger, purse=purse)

        yield start_


def slices(registry: Registry) -> list[Any]:
    with registry.connection(autocommit=True) as connection:
        return connection.execute(
            "SELECT worker_id, granted_usd, round(spent_usd::numeric, 6)::float8 FROM budget_slices ORDER BY worker_id"
        ).fetchall()


def take_for_dead(registry: Registry, bench: Bench) -> None:
    with registry.connection(autocommit=True) as connection:
        connection.execute("UPDATE workers SET seen_at = now() - interval '1 hour' WHERE id = %s", [bench.worker.id])


async def test_a_worker_gets_its_need_and_a_fair_part_of_its_wish(start: Start) -> None:
    one, two = await start(), await start()
    assert await one.hold(0.20, wish=0.30) == pytest.approx(0.30)
    assert await two.hold(0.10, wish=5.0) == pytest.approx(0.10 + 0.60 / 2)
    assert await one.hold(0.40, wish=5.0, keep=0.25) == pytest.approx(0.40 + 0.20 / 2)
    assert await two.hold(0.55, keep=0.35) == pytest.approx(0.35)  # not free: it keeps what it uses
    assert await one.hold(0.60) == pytest.approx(0.60)


async def test_without_a_cap_nothing_is_granted_or_refused(registry: Registry, start: Start) -> None:
    one = await start()
    with registry.connection(autocommit=True) as connection:
        connection.execute("UPDATE runs SET recipe = '{}'")
    share = await one.purse.lease(keep=NOTHING, need=dollars(1e6), wish=dollars(1e9))
    assert (share.granted, share.cap) == (Cap(), Cap())


async def test_a_cap_in_tokens_is_kept_as_well(registry: Registry, start: Start) -> None:
    one, two = await start(), await start()
    with registry.connection(autocommit=True) as connection:
        connection.execute("""UPDATE runs SET recipe = '{"budget": {"usd": null, "tokens": 100}}'""")
    held = await one.purse.lease(keep=NOTHING, need=Charge(usd=9.0, tokens=70), wish=Charge(usd=9.0, tokens=70))
    assert held.granted == Cap(tokens=70)
    refused = await two.purse.lease(keep=NOTHING, need=Charge(tokens=31), wish=Charge(tokens=31))
    assert refused.granted == Cap(tokens=0)


async def test_many_leases_at_once_stay_within_the_cap(registry: Registry, start: Start) -> None:
    async def grow(bench: Bench) -> None:
        for n in range(1, 8):
            await bench.hold(0.05 * n, wish=3.0)

    await asyncio.gather(*(grow(bench) for bench in [await start() for _ in range(6)]))
    assert 0.5 < sum(granted for _, granted, _ in slices(registry)) <= 1.0 + 1e-9


async def test_spending_stands_in_the_slice_with_the_call(registry: Registry, start: Start) -> None:
    one, two = await start(), await start()
    await one.hold(0.50)
    request = a_request()
    await one.ledger.reserve(request, dollars(0.25))
    await one.ledger.lose(request, dollars(0.25))
    await one.ledger.settle(request, a_reply(), dollars(0.01), seconds=0.1)
    assert slices(registry)[0] == (one.worker.id, 0.5, 0.26)
    share = await two.purse.lease(keep=NOTHING, need=NOTHING, wish=NOTHING)
    assert share.others.usd == pytest.approx(0.26)
    await one.ledger.close()
    assert slices(registry)[0] == (0, None, 0.26)
    assert await two.hold(0.74) == pytest.approx(0.74)


async def test_a_dead_workers_calls_stay_charged_and_its_rest_is_free(registry: Registry, start: Start, spent) -> None:
    one, two = await start(), await start()
    await one.hold(0.90)
    await one.ledger.reserve(a_request(), dollars(0.30))
    assert await two.hold(0.60) == 0.0
    take_for_dead(registry, one)
    assert await two.hold(0.60) == pytest.approx(0.60)
    assert slices(registry) == [(0, None, 0.3), (two.worker.id, pytest.approx(0.6), 0.0)]
    assert spent() == dollars(0.30)


async def test_more_than_it_held_was_never_sent(registry: Registry, start: Start, spent) -> None:
    one, two = await start(), await start()
    await one.hold(0.60)
    for number in range(4):  # two of them wait for money
        await one.ledger.reserve(a_request(f"question {number}"), dollars(0.25))
    take_for_dead(registry, one)
    assert await two.hold(0.50) == 0.0
    assert spent().usd == pytest.approx(0.60)
    assert await two.hold(0.40) == pytest.approx(0.40)


async def test_who_was_taken_for_dead_spends_nothing_more(registry: Registry, start: Start) -> None:
    one, two = await start(), await start()
    await one.hold(0.90)
    request = a_request()
    await one.ledger.reserve(request, dollars(0.30))
    take_for_dead(registry, one)
    await two.hold(0.70)
    with pytest.raises(LeaseLost):
        await one.ledger.lose(request, dollars(0.30))
    with pytest.raises(LeaseLost):
        await one.ledger.settle(request, a_reply(), dollars(0.01), seconds=0.1)
    with pytest.raises(WorkerLost, match="start another"):
        await one.ledger.reserve(a_request("another"), dollars(0.30))
    with pytest.raises(WorkerLost):
        await one.hold(0.1)
    assert sum(spent for _, _, spent in slices(registry)) == pytest.approx(0.30)


def test_the_migration_carries_over_what_runs_have_spent(registry: Registry) -> None:
    migrate.downgrade(registry.url, "0010")
    with registry.connection(autocommit=True) as connection:
        connection.execute(
            "INSERT INTO runs (key, name, recipe, state, queries, lost_usd, lost_tokens)"
            " VALUES ('1', 'test', '{}', 'open', 1, 0.5, 50), ('2', 'test', '{}', 'open', 1, 0, 0)"
        )
        connection.execute(
            "INSERT INTO calls (key, model, revision, state, request, usd, tokens, run_id, worker_id)"
            " SELECT n::text::bytea, 'm', '', CASE WHEN n < 4 THEN 'done' ELSE 'reserved' END, '{}', 0.25, 25, 1, 7"
            " FROM generate_series(1, 5) AS n"
        )
    migrate.upgrade(registry.url)
    assert slices(registry) == [(0, None, 1.25), (0, None, 0.0), (7, None, 0.0)]
    asyncio.run(_open_and_close(registry))
    assert sorted(spent for _, _, spent in slices(registry)) == [0.0, 1.75]


async def _open_and_close(registry: Registry) -> None:
    async with await Worker.start(registry, SystemClock()) as worker:
        ledger = await PostgresLedger.open(registry, run=1, worker=worker.id, clock=SystemClock())
        await ledger.close()
