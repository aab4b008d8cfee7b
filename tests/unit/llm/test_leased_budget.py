"""Slices of a cap: leased ahead, given back, and never more than the cap together."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from kat_data.clock import ManualClock
from kat_data.domain.budget import Cap, Share
from kat_data.domain.call import Charge
from kat_data.errors import BudgetExhausted, WorkerLost
from kat_data.llm.leased_budget import VALID_SECONDS, LeasedBudget

CALL = Charge(usd=0.10, tokens=100)


class Till:
    """A purse for the workers of one process, by the rules of the registry's; it wants to be told what was spent."""

    def __init__(self, usd: float) -> None:
        self.cap = Cap(usd=usd)
        self.granted: dict[int, float] = {}
        self.spent: dict[int, float] = {}
        self.asked = 0

    def purse(self, worker: int) -> "Slice":
        self.granted[worker] = self.spent[worker] = 0.0
        return Slice(self, worker)

    def spend(self, worker: int, usd: float) -> None:
        self.spent[worker] += usd


class Slice:
    def __init__(self, till: Till, worker: int) -> None:
        self._till = till
        self._worker = worker

    async def lease(self, *, keep: Charge, need: Charge, wish: Charge) -> Share:
        till = self._till
        till.asked += 1
        await asyncio.sleep(0)
        if self._worker not in till.granted:
            raise WorkerLost("taken for dead")
        free = till.cap.usd - sum(held for worker, held in till.granted.items() if worker != self._worker)
        fair = need.usd + (free - need.usd) / len(till.granted)
        granted = max(keep.usd, need.usd, min(wish.usd, fair)) if need.usd <= free + 1e-10 else keep.usd
        till.granted[self._worker] = granted
        assert sum(till.granted.values()) <= till.cap.usd + 1e-9
        others = sum(spent for worker, spent in till.spent.items() if worker != self._worker)
        return Share(granted=Cap(usd=granted), cap=till.cap, others=Charge(usd=others))


class Ticks(ManualClock):
    """A clock on which every sleep takes some turns of the loop."""

    async def sleep(self, seconds: float) -> None:
        await settle_down()
        await super().sleep(seconds)


class Frozen(ManualClock):
    """A clock that stands still: who sleeps waits until somebody moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while self.monotonic() < until:
            self.moved.clear()
            await self.moved.wait()

    async def tick(self) -> None:
        """Let a second pass, once nobody has anything left to do."""
        await settle_down()
        self.advance(1.0)
        self.moved.set()
        await settle_down()


async def settle_down() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def parts() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as parts:
        yield parts


async def test_calls_within_the_slice_ask_nobody(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=100.0), Frozen()
    budget = await parts.enter_async_context(LeasedBudget(till.purse(1), clock))
    await budget.reserve(CALL)
    asked = till.asked
    await budget.reserve(CALL)  # twice what waited was leased
    assert till.asked == asked == 2
    assert (budget._reserved, budget.spent) == (CALL + CALL, Charge())


async def test_recent_spending_is_leased_ahead_and_the_rest_goes_back(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=100.0), Frozen()
    budget = await parts.enter_async_context(LeasedBudget(till.purse(1), clock))
    await budget.reserve(CALL)
    assert till.granted[1] == pytest.approx(0.20)
    budget.settle(CALL, CALL)
    await clock.tick()
    assert till.granted[1] == pytest.approx(0.30)  # two more seconds like the last, at 0.10 a second
    await clock.tick()
    assert till.granted[1] == pytest.approx(0.10)  # nothing was spent meanwhile, and nothing waits


async def test_what_one_worker_does_not_need_serves_another(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=0.20), Frozen()
    one, two = [await parts.enter_async_context(LeasedBudget(till.purse(n), clock)) for n in (1, 2)]
    await one.reserve(CALL)
    first, second = (asyncio.create_task(two.reserve(CALL)) for _ in range(2))
    await clock.tick()  # one gives back what it leased ahead
    await clock.tick()
    assert (first.done(), second.done()) == (True, False)
    one.refund(CALL)
    await clock.tick()
    await clock.tick()
    assert second.done()
    assert till.granted == {1: 0.0, 2: pytest.approx(0.20)}


async def test_a_call_is_refused_once_nobody_can_give_enough_back(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=0.25), Frozen()
    one, two = [await parts.enter_async_context(LeasedBudget(till.purse(n), clock)) for n in (1, 2)]
    await one.reserve(CALL)
    await clock.tick()
    first, second = (asyncio.create_task(two.reserve(CALL)) for _ in range(2))
    await clock.tick()
    assert (first.done(), second.done()) == (True, False)
    one.settle(CALL, CALL)
    till.spend(1, 0.10)
    await clock.tick()
    assert not second.done()  # the call in flight may still give its money back
    two.settle(CALL, CALL)
    await clock.tick()
    with pytest.raises(BudgetExhausted, match=r"of \$0\.25 is reached: \$0\.2000 spent, and the next .* \$0\.1000"):
        second.result()
    assert two.spent == Charge(usd=0.20, tokens=100)


async def test_own_calls_in_flight_serve_the_next_without_waiting_for_the_clock(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=0.15), Frozen()
    budget = await parts.enter_async_context(LeasedBudget(till.purse(1), clock))
    await budget.reserve(CALL)
    waiting = asyncio.create_task(budget.reserve(CALL))
    await settle_down()
    assert not waiting.done()
    budget.settle(CALL, Charge(usd=0.04))
    await waiting
    assert clock.monotonic() == 0


async def test_who_slept_asks_before_it_sends_anything(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=100.0), Frozen()
    budget = await parts.enter_async_context(LeasedBudget(till.purse(1), clock))
    await budget.reserve(CALL)
    del till.granted[1]  # others took it for dead
    clock.advance(VALID_SECONDS)  # and nothing of this process has run since
    with pytest.raises(WorkerLost):
        await budget.reserve(CALL)


async def test_waiting_ends_when_the_run_stops(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=0.10), Frozen()
    one, two = [await parts.enter_async_context(LeasedBudget(till.purse(n), clock)) for n in (1, 2)]
    await one.reserve(CALL)
    waiting = asyncio.create_task(two.reserve(CALL))
    await settle_down()
    two.stop(WorkerLost("stopped"))
    with pytest.raises(WorkerLost, match="stopped"):
        await waiting


async def test_a_raised_cap_is_heeded_at_once(parts: AsyncExitStack) -> None:
    till, clock = Till(usd=0.15), Frozen()
    budget = await parts.enter_async_context(LeasedBudget(till.purse(1), clock))
    await budget.reserve(CALL)
    waiting = asyncio.create_task(budget.reserve(CALL))
    await settle_down()
    till.cap = Cap(usd=1.0)
    await clock.tick()
    await waiting


@pytest.mark.parametrize("seed", range(8))
async def test_many_workers_use_up_the_cap_and_never_pass_it(parts: AsyncExitStack, seed: int) -> None:
    rng = random.Random(seed)
    till, clock = Till(usd=10.0), Ticks()
    workers = [await parts.enter_async_context(LeasedBudget(till.purse(n), clock)) for n in range(4)]
    held = 0.0

    async def caller(number: int) -> None:
        nonlocal held
        worker = number % 4
        while True:
            await workers[worker].reserve(CALL)
            held += CALL.usd
            assert held + sum(till.spent.values()) <= till.cap.usd + 1e-9
            for _ in range(rng.randrange(40)):
                await asyncio.sleep(0)
            price = rng.choice((0.0, 0.01, 0.05, 0.10))
            workers[worker].settle(CALL, Charge(usd=price, tokens=1))
            held -= CALL.usd
            till.spend(worker, price)

    outcomes = await asyncio.gather(*(caller(n) for n in range(40)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {BudgetExhausted}
    assert till.cap.usd - CALL.usd < sum(till.spent.values()) <= till.cap.usd + 1e-9
