import asyncio

import pytest

from kat_data.clock import ManualClock
from kat_data.llm.limits import AdaptiveLimit


def limit(ceiling: int) -> AdaptiveLimit:
    return AdaptiveLimit(ceiling, ManualClock())


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="room for one"):
        limit(0)


async def test_no_more_than_the_limit_are_in_flight():
    gate = limit(3)
    peak = 0

    async def call() -> None:
        nonlocal peak
        await gate.acquire()
        peak = max(peak, gate.in_flight)
        await asyncio.sleep(0)
        gate.release()

    await asyncio.gather(*(call() for _ in range(20)))
    assert (peak, gate.in_flight) == (3, 0)


async def test_throttled_calls_of_one_generation_halve_once():
    gate = limit(64)
    sent = [await gate.acquire() for _ in range(10)]
    for generation in sent:
        gate.throttled(generation)
    assert gate.limit == 32


async def test_throttling_never_closes_the_endpoint():
    gate = limit(2)
    for _ in range(5):
        gate.throttled(await gate.acquire())
        gate.release()
    assert gate.limit == 1


async def test_a_window_of_good_calls_adds_one_up_to_the_ceiling():
    gate = limit(8)
    gate.throttled(await gate.acquire())
    for _ in range(4):
        gate.succeeded()
    assert gate.limit == 5
    for _ in range(100):
        gate.succeeded()
    assert gate.limit == 8


async def test_a_raised_limit_admits_a_waiting_call():
    gate = limit(2)
    gate.throttled(await gate.acquire())
    waiting = asyncio.create_task(gate.acquire())
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.succeeded()
    await waiting
    assert gate.in_flight == 2


async def test_the_longest_pause_holds():
    clock = ManualClock()
    gate = AdaptiveLimit(4, clock)
    gate.pause(20)
    gate.pause(5)
    clock.advance(8)
    assert gate.pause_left == 12
    clock.advance(30)
    assert gate.pause_left == 0


async def test_a_cancelled_waiter_leaves_no_place_taken():
    gate = limit(1)
    await gate.acquire()
    waiting = asyncio.create_task(gate.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.release()
    await asyncio.wait_for(gate.acquire(), 1)
    assert gate.in_flight == 1


async def test_a_waiter_cancelled_as_it_is_admitted_gives_its_place_back():
    gate = limit(1)
    await gate.acquire()
    waiting = asyncio.create_task(gate.acquire())
    await asyncio.sleep(0)
    gate.release()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert gate.in_flight == 0


async def test_closing_lets_everyone_through():
    gate = limit(1)
    await gate.acquire()
    waiting = [asyncio.create_task(gate.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    gate.bypass()
    await asyncio.gather(*waiting)
    await gate.acquire()
