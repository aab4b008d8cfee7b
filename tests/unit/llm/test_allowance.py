import asyncio

import pytest

from kat_data.domain.slice import EndpointLimits, Slice
from kat_data.llm.allowance import Allowance


class Bench:
    """An allowance, and how often it asked for a renewal."""

    def __init__(self, *, rpm: int | None = 100, tpm: int | None = 1000) -> None:
        self.woken = 0
        self.allowance = Allowance(EndpointLimits(concurrency=8, rpm=rpm, tpm=tpm), self._wake)
        self.second = 1000

    def _wake(self) -> None:
        self.woken += 1

    def give(self, requests: int = 0, tokens: int = 0):
        """Renew: report, and take up what is given; each renewal is a second after the last."""
        report = self.allowance.report()
        self.second += 1
        self.allowance.adopt(Slice(seats=1, share=1, requests=requests, tokens=tokens, second=self.second))
        return report

    async def start(self, tokens: int) -> "asyncio.Task[int]":
        draw = asyncio.create_task(self.allowance.draw(tokens))
        await asyncio.sleep(0)
        return draw


async def test_a_call_draws_from_what_is_given_without_waiting():
    bench = Bench()
    bench.give(requests=2, tokens=100)
    await bench.allowance.draw(60)
    report = bench.give()
    assert (report.spent_requests, report.spent_tokens, report.held_requests, report.held_tokens) == (1, 60, 1, 40)
    assert bench.woken == 0


async def test_calls_wait_in_line_and_a_small_one_does_not_pass_a_large_one():
    bench = Bench()
    bench.give(requests=5, tokens=50)
    large, small = await bench.start(80), await bench.start(10)
    assert not large.done()
    assert not small.done()
    assert bench.woken == 1
    bench.give(requests=5, tokens=80)
    await large
    await asyncio.sleep(0)
    assert not small.done()
    bench.give(requests=1, tokens=10)
    await small


async def test_whoever_waits_keeps_nothing_from_others():
    bench = Bench()
    bench.give(requests=5, tokens=50)
    await bench.start(80)
    report = bench.give()
    assert (report.held_requests, report.held_tokens) == (0, 0)
    assert (report.asks_requests, report.asks_tokens, report.needs_tokens) == (1, 80, 80)


async def test_only_the_first_who_waits_asks_for_a_renewal():
    bench = Bench()
    await bench.start(10)
    await bench.start(10)
    bench.give()
    await bench.start(10)
    assert bench.woken == 1
    bench.give(requests=3, tokens=30)
    await bench.start(10)
    assert bench.woken == 2


async def test_a_cancelled_caller_does_not_hold_up_those_behind_it():
    bench = Bench()
    bench.give(requests=2, tokens=50)
    large, small = await bench.start(80), await bench.start(40)
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    bench.give(requests=1, tokens=40)
    await small


async def test_tokens_that_were_not_used_are_free_at_once_within_the_period():
    bench = Bench()
    bench.give(requests=2, tokens=100)
    period = await bench.allowance.draw(100)
    waiting = await bench.start(70)
    bench.allowance.settle(period, 100, 25)
    await waiting
    assert bench.give().spent_tokens == 25 + 70


async def test_tokens_that_were_not_used_go_back_under_the_date_of_their_call():
    bench = Bench()
    bench.give(requests=2, tokens=100)
    period = await bench.allowance.draw(100)
    bench.give()
    dated = bench.second
    bench.allowance.settle(period, 100, 30)
    assert bench.give().refunds == ((dated, 70),)
    assert bench.give().refunds == ()


async def test_a_refund_before_its_date_is_known_waits_for_it():
    bench = Bench()
    bench.give(requests=1, tokens=100)
    period = await bench.allowance.draw(100)
    bench.allowance.report()
    bench.allowance.settle(period, 100, 30)
    bench.allowance.adopt(Slice(seats=1, share=1, second=2000))
    assert bench.allowance.report().refunds == ((2000, 70),)


async def test_a_refund_of_a_minute_ago_is_of_no_use():
    bench = Bench()
    bench.give(requests=1, tokens=100)
    period = await bench.allowance.draw(100)
    bench.give()
    bench.second += 100
    bench.give()
    bench.allowance.settle(period, 100, 30)
    assert bench.give().refunds == ()


async def test_a_call_that_was_not_sent_gives_everything_back():
    bench = Bench()
    bench.give(requests=1, tokens=100)
    period = await bench.allowance.draw(100)
    bench.allowance.settle(period, 100, None)
    report = bench.give()
    assert (report.spent_requests, report.spent_tokens) == (0, 0)


async def test_a_call_larger_than_a_minute_draws_a_whole_minute():
    bench = Bench(tpm=1000)
    huge = await bench.start(5000)
    assert bench.give(requests=1, tokens=1000).needs_tokens == 1000
    period = await huge
    bench.allowance.settle(period, 5000, 900)
    assert bench.give().spent_tokens == 900


async def test_what_an_idle_worker_held_ahead_goes_back_within_seconds():
    bench = Bench()
    bench.give(requests=64, tokens=0)
    for _ in range(16):
        await bench.allowance.draw(0)
    held = [bench.give().held_requests for _ in range(7)]
    assert held == [16, 16, 8, 4, 2, 1, 0]


@pytest.mark.parametrize(("rpm", "tpm"), [(None, 100), (10, None)])
async def test_a_rate_that_is_not_limited_is_not_asked_for(rpm, tpm):
    bench = Bench(rpm=rpm, tpm=tpm)
    draw = await bench.start(50)
    bench.give(requests=0 if rpm is None else 1, tokens=0 if tpm is None else 50)
    await draw
    report = bench.give()
    assert min(report.held_requests, report.held_tokens) == 0
    assert report.spent_tokens == (0 if tpm is None else 50)
    asked = bench.give()
    assert (asked.asks_requests > 0, asked.asks_tokens > 0) == (rpm is not None, tpm is not None)


async def test_a_cancelled_caller_leaves_its_turn_to_the_next():
    bench = Bench()
    first, second = await bench.start(50), await bench.start(50)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    bench.give(requests=1, tokens=50)
    await second


async def test_a_caller_cancelled_as_its_turn_comes_gives_back_what_it_drew():
    bench = Bench()
    first = await bench.start(50)
    bench.give(requests=1, tokens=50)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert bench.give().spent_tokens == 0


async def test_a_fault_reaches_everyone_who_waits():
    bench = Bench()
    waiting = [await bench.start(10) for _ in range(3)]
    bench.allowance.fail(OSError("gone"))
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [OSError] * 3


async def test_closing_lets_everyone_through():
    bench = Bench()
    waiting = [await bench.start(10) for _ in range(3)]
    bench.allowance.bypass()
    await asyncio.gather(*waiting)
    await bench.allowance.draw(10_000)
