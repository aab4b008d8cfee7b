import asyncio
from collections import deque

import pytest

from kat_data.clock import ManualClock
from kat_data.domain.slice import EndpointLimits, Report, Slice
from kat_data.llm.shared_limit import VALID_SECONDS, SharedLimit, Sharing


class Bench:
    """A shared limit whose renewals the test makes by hand."""

    def __init__(self, *, seats: int = 4) -> None:
        self.clock = ManualClock()
        self.wake = asyncio.Event()
        self.limit = SharedLimit("here", EndpointLimits(concurrency=64), self.clock, self.wake)
        self.renew(seats)

    def renew(self, seats: int, share: int | None = None, *, generation: int = 0, pause: float = 0.0) -> Report:
        self.wake.clear()
        report = self.limit.report()
        given = Slice(seats=seats, share=seats if share is None else share, generation=generation, pause=pause)
        self.limit.adopt(given)
        return report

    async def start(self, calls: int) -> list["asyncio.Task[int]"]:
        started = [asyncio.create_task(self.limit.acquire()) for _ in range(calls)]
        for _ in range(3):
            await asyncio.sleep(0)
        return started


async def test_calls_within_the_slice_ask_nobody():
    bench = Bench(seats=4)
    await bench.start(4)
    assert bench.limit.in_flight == 4
    assert not bench.wake.is_set()


async def test_the_first_call_beyond_the_slice_asks_for_a_renewal_and_the_rest_do_not():
    bench = Bench(seats=1)
    await bench.start(2)
    assert bench.wake.is_set()
    report = bench.renew(1)
    assert (report.holds, report.wants) == (1, 2)
    await bench.start(1)
    assert not bench.wake.is_set()
    bench.renew(3)
    assert bench.limit.in_flight == 3


async def test_a_smaller_share_keeps_new_calls_out_and_hands_seats_over_as_calls_end():
    bench = Bench(seats=4)
    await bench.start(4)
    bench.renew(4, share=2)
    assert not bench.wake.is_set()
    waiting = await bench.start(1)
    bench.limit.release()
    assert bench.wake.is_set()
    assert not waiting[0].done()
    assert bench.renew(3, share=2).holds == 3
    bench.limit.release()
    bench.limit.release()
    await waiting[0]
    assert bench.renew(2).holds == 2


async def test_seats_that_nobody_uses_are_handed_over_at_once():
    bench = Bench(seats=4)
    bench.renew(4, share=1)
    assert bench.wake.is_set()
    assert bench.renew(1).holds == 1
    assert not bench.wake.is_set()


async def test_between_report_and_answer_no_more_are_in_flight_than_was_reported():
    bench = Bench(seats=4)
    await bench.start(4)
    bench.renew(4, share=2)
    bench.limit.release()
    held = bench.limit.report().holds
    await bench.start(3)
    assert bench.limit.in_flight == held == 3


async def test_an_old_slice_lets_nothing_through_until_it_is_renewed():
    bench = Bench(seats=4)
    bench.clock.advance(VALID_SECONDS)
    late = await bench.start(1)
    assert not late[0].done()
    bench.renew(4)
    await late[0]


async def test_a_throttled_call_is_reported_once_with_its_generation():
    bench = Bench()
    bench.renew(4, generation=7)
    sent = await bench.limit.acquire()
    bench.limit.throttled(sent)
    bench.limit.throttled(sent)
    assert bench.wake.is_set()
    assert bench.renew(2, generation=8).throttled == 7
    bench.limit.throttled(sent)
    assert bench.renew(2, generation=8).throttled is None


async def test_good_calls_are_counted_between_reports():
    bench = Bench()
    for _ in range(3):
        bench.limit.succeeded()
    assert [bench.renew(4).good, bench.renew(4).good] == [3, 0]


async def test_a_pause_holds_here_at_once_and_is_reported():
    bench = Bench()
    bench.limit.pause(20)
    assert bench.limit.pause_left == 20
    assert bench.wake.is_set()
    assert [bench.renew(4).pause, bench.renew(4).pause] == [20, 0]


async def test_a_pause_that_another_worker_was_asked_for_holds_here():
    bench = Bench()
    bench.renew(4, pause=12.5)
    assert bench.limit.pause_left == 12.5
    assert bench.renew(4).pause == 0


async def test_after_a_fault_everyone_gets_it():
    bench = Bench(seats=1)
    _, *waiting = await bench.start(3)
    bench.limit.fail(OSError("gone"))
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [OSError] * 2
    with pytest.raises(OSError, match="gone"):
        await bench.limit.acquire()
    with pytest.raises(OSError, match="gone"):
        await bench.limit.draw(1)


async def test_closing_lets_everyone_through():
    bench = Bench(seats=1)
    started = await bench.start(3)
    bench.limit.bypass()
    await asyncio.gather(*started)
    bench.clock.advance(100)
    await bench.limit.acquire()


class Scripted:
    """Slices of given sizes, one for each renewal, and then an error where one is given."""

    def __init__(self, *seats: int, error: Exception | None = None) -> None:
        self.seats = deque(seats)
        self.error = error
        self.reports: list[Report] = []
        self.given_back: list[Report] = []
        self.heard = asyncio.Event()
        self.closed = False

    async def open(self, place, limits):
        return 1

    async def renew(self, lease, report):
        self.reports.append(report)
        if self.error and len(self.seats) <= 1:
            raise self.error
        size = self.seats.popleft() if len(self.seats) > 1 else self.seats[0]
        return Slice(seats=size, share=size)

    async def give_back(self, lease, report):
        self.given_back.append(report)

    async def news(self, seconds):
        await self.heard.wait()
        self.heard.clear()

    async def close(self):
        self.closed = True


async def settle_down():
    for _ in range(30):
        await asyncio.sleep(0)


async def test_a_worker_renews_when_a_call_lacks_a_seat_and_when_there_is_news():
    slices = Scripted(1, 2, 3)
    async with asyncio.timeout(5), Sharing(slices, ManualClock()) as sharing:
        limit = sharing.limit("here", EndpointLimits(concurrency=8))
        await limit.acquire()
        await settle_down()
        assert len(slices.reports) == 1
        await limit.acquire()
        await settle_down()
        assert len(slices.reports) == 2
        slices.heard.set()
        await settle_down()
        assert limit.limit == 3
    assert (len(slices.given_back), slices.closed) == (1, True)


async def test_renewals_in_haste_keep_their_distance():
    clock = ManualClock()
    async with asyncio.timeout(5), Sharing(Scripted(1), clock) as sharing:
        limit = sharing.limit("here", EndpointLimits(concurrency=8))
        for _ in range(5):
            limit.pause(0.001)
            await settle_down()
    assert clock.slept == [0.05] * len(clock.slept)
    assert len(clock.slept) >= 5


async def test_lost_slices_reach_whoever_waits():
    slices = Scripted(1, 1, error=OSError("the database is gone"))
    async with asyncio.timeout(5), Sharing(slices, ManualClock()) as sharing:
        limit = sharing.limit("here", EndpointLimits(concurrency=8))
        await limit.acquire()
        with pytest.raises(OSError, match="gone"):
            await limit.acquire()
        with pytest.raises(OSError, match="gone"):
            await limit.acquire()
