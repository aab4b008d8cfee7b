"""Draining a job: how many items are in flight, what stops it, and what is awaited all the same."""

import asyncio
from collections import deque
from collections.abc import Callable

import pytest

from kat_data.clock import ManualClock
from kat_data.errors import BudgetExhausted, EndpointDown
from kat_data.executors.drain import drain


class Items:
    """A job over numbers: `act` is what is done for each, `delays` are the waits before the next can be claimed."""

    def __init__(
        self, count: int, act: Callable[[int], object] = lambda _: None, delays: tuple[float, ...] = ()
    ) -> None:
        self.left = deque(range(count))
        self.asked: list[int] = []
        self.begun: list[int] = []
        self.done: list[int] = []
        self.peak = 0
        self._act = act
        self._delays = deque(delays)

    async def claim(self, limit: int) -> list[int]:
        self.asked.append(limit)
        if self._delays:
            return []
        return [self.left.popleft() for _ in range(min(limit, len(self.left)))]

    async def work(self, claim: int) -> None:
        self.begun.append(claim)
        self.peak = max(self.peak, len(self.begun) - len(self.done))
        await asyncio.sleep(0)
        result = self._act(claim)
        if asyncio.iscoroutine(result):
            await result
        self.done.append(claim)

    async def waiting(self) -> tuple[bool, float]:
        return (bool(self.left), self._delays.popleft()) if self._delays else (bool(self.left), 0.0)


def failing(number: int, error: Exception) -> Callable[[int], None]:
    def act(claim: int) -> None:
        if claim == number:
            raise error

    return act


@pytest.fixture(autouse=True)
async def patience():
    async with asyncio.timeout(20):
        yield


async def test_everything_is_worked_on_within_the_limit() -> None:
    job = Items(100)
    await drain(job, in_flight=16, clock=ManualClock())
    assert sorted(job.done) == list(range(100))
    assert job.peak == 16


async def test_a_job_without_items_ends_at_once() -> None:
    clock = ManualClock()
    await drain(Items(0), in_flight=4, clock=clock)
    assert clock.slept == []


async def test_claims_are_topped_up_while_a_long_item_goes_on() -> None:
    longest = asyncio.Event()
    job: Items

    async def act(claim: int) -> None:
        if claim == 0:
            await longest.wait()
        elif len(job.done) == 38:
            longest.set()

    job = Items(40, act)
    await drain(job, in_flight=8, clock=ManualClock())
    assert job.done[-1] == 0
    assert len(job.done) == 40
    assert len(job.asked) > 3
    assert max(job.asked[1:-1]) < 8  # the long one holds its place, the others go on around it


async def test_after_a_run_stopped_nothing_is_claimed_and_what_is_in_flight_is_awaited() -> None:
    job = Items(100, failing(3, EndpointDown("nobody listens")))
    with pytest.raises(EndpointDown, match="nobody listens"):
        await drain(job, in_flight=8, clock=ManualClock())
    assert job.begun == list(range(8))
    assert sorted(job.done) == [0, 1, 2, 4, 5, 6, 7]


async def test_a_defect_is_raised_before_a_stop() -> None:
    def act(claim: int) -> None:
        raise BudgetExhausted("reached") if claim < 4 else ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError, match="a defect"):
        await drain(Items(8, act), in_flight=8, clock=ManualClock())


async def test_the_stop_event_ends_claiming_and_awaits_what_is_in_flight() -> None:
    stop = asyncio.Event()
    job = Items(100, lambda claim: stop.set() if claim == 2 else None)
    await drain(job, in_flight=8, clock=ManualClock(), stop=stop)
    assert sorted(job.done) == list(range(8))


async def test_a_stop_that_came_first_claims_nothing() -> None:
    stop, job = asyncio.Event(), Items(5)
    stop.set()
    await drain(job, in_flight=8, clock=ManualClock(), stop=stop)
    assert job.asked == []


async def test_items_in_backoff_are_waited_for_by_the_clock() -> None:
    clock, job = ManualClock(), Items(3, delays=(0.4, 30.0, 0.0))
    await drain(job, in_flight=8, clock=clock)
    assert clock.slept == [0.4, 1.0, 0.05]  # never longer than a second: other items may come free before
    assert sorted(job.done) == [0, 1, 2]


async def test_a_stop_ends_the_wait_for_items_in_backoff() -> None:
    stop = asyncio.Event()

    class Endless(ManualClock):
        async def sleep(self, seconds: float) -> None:
            stop.set()
            await asyncio.Event().wait()

    job = Items(3, delays=(30.0,))
    await drain(job, in_flight=8, clock=Endless(), stop=stop)
    assert job.done == []


async def test_a_failing_claim_awaits_what_is_in_flight() -> None:
    class Breaking(Items):
        async def claim(self, limit: int) -> list[int]:
            if self.asked:
                raise ConnectionError("lost")
            return await super().claim(limit)

    job = Breaking(100)
    with pytest.raises(ConnectionError, match="lost"):
        await drain(job, in_flight=8, clock=ManualClock())
    assert len(job.done) == 8
