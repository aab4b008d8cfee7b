"""Slices of limits: all of them together never exceed what an endpoint takes, whoever comes, hangs or dies."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.slice import Drawn, EndpointLimits, Report, Slice
from kat_data.errors import WorkerLost
from kat_data.llm.allowance import Allowance
from kat_data.registry.claims import ALIVE_WORKERS
from kat_data.registry.session import Registry
from kat_data.registry.slices import DEAD_SEAT_SECONDS, PostgresSlices
from kat_data.registry.worker import Worker

pytestmark = pytest.mark.integration


class Time:
    """A time that moves when told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


class Member:
    """One worker's lease, with the calls that it has in flight."""

    def __init__(self, worker: Worker, slices: PostgresSlices, lease: int) -> None:
        self.worker = worker
        self.slices = slices
        self.lease = lease
        self.cap = 0
        self.in_flight = 0
        self.seats = 0
        self.slice = Slice(seats=0, share=0)

    async def renew(self, *, wants: int = 0, **report: Any) -> Slice:
        """Renew as a limit does: what is above our share is kept only while calls use it."""
        holds = max(self.cap, self.in_flight)
        self.slice = await self.slices.renew(self.lease, Report(holds=holds, wants=wants, **report))
        self.seats, self.cap = self.slice.seats, min(self.slice.seats, self.slice.share)
        return self.slice

    async def fill(self, wants: int) -> None:
        """Renew, and send as many calls as the slice allows."""
        await self.renew(wants=wants)
        self.in_flight = max(self.in_flight, min(self.cap, wants))


Join = Callable[..., Awaitable[Member]]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def join(registry: Registry, time: Time) -> AsyncIterator[Join]:
    """Let workers join one endpoint; its limits are the test's."""
    async with AsyncExitStack() as parts:

        async def join_(place: str = "here", **limits: Any) -> Member:
            worker = await parts.enter_async_context(await Worker.start(registry, SystemClock()))
            slices = await PostgresSlices.open_for(registry, worker=worker.id, now=time)
            parts.push_async_callback(slices.close)
            limits = {"concurrency": 16} | limits
            return Member(worker, slices, await slices.open(place, EndpointLimits(**limits)))

        yield join_


async def die(member: Member) -> None:
    """End the session that holds the worker's lock, as a kill does, and wait until the server has noticed."""
    await member.worker._session.close()
    alive: Any = None
    async with asyncio.timeout(30):
        while alive != (False,):
            cursor = await member.worker._claims.execute(f"SELECT %s IN ({ALIVE_WORKERS})", [member.worker.id])
            alive = await cursor.fetchone()


async def test_one_alone_has_every_seat_also_unasked(join: Join) -> None:
    one = await join()
    assert (await one.renew(wants=1)).seats == 16


async def test_endpoints_share_nothing(join: Join) -> None:
    assert [(await (await join(place)).renew(wants=16)).seats for place in ("here", "there")] == [16, 16]


async def test_a_newcomer_gets_seats_as_calls_of_the_others_end(join: Join) -> None:
    first, second = await join(), await join()
    await first.fill(wants=40)
    await second.fill(wants=40)
    assert (first.in_flight, second.in_flight) == (16, 0)
    await first.fill(wants=40)
    first.in_flight -= 3
    await first.fill(wants=40)
    await second.fill(wants=40)
    assert (first.in_flight, second.in_flight) == (13, 3)
    first.in_flight = 2
    await first.fill(wants=40)
    await second.fill(wants=40)
    assert (first.in_flight, second.in_flight) == (8, 8)


async def test_who_lacks_a_seat_hears_at_once_of_a_free_one(join: Join) -> None:
    first, second = await join(), await join()
    await first.fill(wants=40)
    await second.fill(wants=40)
    await first.fill(wants=40)
    first.in_flight = 8
    news = asyncio.create_task(second.slices.news(30))
    await asyncio.sleep(0)
    await first.fill(wants=40)
    await asyncio.wait_for(news, 5)
    await second.fill(wants=40)
    assert second.in_flight == 8


async def test_an_idle_worker_leaves_its_part_to_the_others(join: Join) -> None:
    idle, busy = await join(), await join()
    await idle.renew()
    for _ in range(2):
        await busy.fill(wants=40)
        await idle.renew()
    await busy.fill(wants=40)
    assert (idle.seats, busy.in_flight) == (0, 16)


async def test_who_wants_little_gets_it_and_the_others_share_the_rest(join: Join) -> None:
    members = [await join() for _ in range(3)]
    for _ in range(3):
        for member, wants in zip(members, (2, 50, 50), strict=True):
            await member.fill(wants)
            member.in_flight = min(member.in_flight, member.cap)
    assert [member.in_flight for member in members] == [2, 7, 7]


async def test_with_fewer_seats_than_workers_everyone_has_its_turn(join: Join, time: Time) -> None:
    members = [await join(concurrency=2) for _ in range(5)]
    turns = [0] * 5
    for _ in range(40):
        time.seconds += 1
        for n, member in enumerate(members):
            member.in_flight = 0
            await member.fill(wants=9)
            turns[n] += member.in_flight > 0
        assert sum(member.seats for member in members) <= 2
    assert min(turns) >= 6


@pytest.mark.parametrize("seed", range(3))
async def test_seats_never_add_up_to_more_than_the_limit(join: Join, time: Time, seed: int) -> None:
    rng = random.Random(seed)
    limit = rng.choice([1, 5, 16])
    members = [await join(concurrency=limit) for _ in range(4)]
    for _ in range(60):
        member = rng.choice(members)
        time.seconds += rng.random()
        member.in_flight = rng.randint(0, max(member.cap, member.in_flight))
        await member.renew(wants=member.in_flight + rng.choice([0, 0, 1, 3, 40]))
        member.in_flight = max(member.in_flight, rng.randint(0, member.cap))
        assert sum(max(each.cap, each.in_flight) for each in members) <= limit
    for _ in range(3):
        for member in members:
            member.in_flight = 0
            await member.fill(wants=40)
    assert sum(member.in_flight for member in members) == limit


async def test_a_dead_workers_seats_are_free_once_its_calls_must_have_ended(join: Join, time: Time) -> None:
    dying, other = await join(), await join()
    await dying.fill(wants=40)
    await other.fill(wants=40)
    await die(dying)
    time.seconds += DEAD_SEAT_SECONDS
    await other.fill(wants=40)
    assert other.in_flight == 0
    time.seconds += 0.1
    await other.fill(wants=40)
    assert other.in_flight == 16


async def test_a_worker_that_others_take_for_dead_gets_nothing_and_ends(join: Join, time: Time) -> None:
    member = await join()
    await die(member)
    given = await member.renew(wants=9)
    assert (given.seats, given.share) == (0, 0)
    time.seconds += 1000
    with pytest.raises(WorkerLost, match="others have its work"):
        await member.renew(wants=9)


async def test_what_is_given_back_is_free_at_once(join: Join) -> None:
    first, second = await join(), await join()
    await first.fill(wants=40)
    await first.slices.give_back(first.lease, Report())
    await second.fill(wants=40)
    assert second.in_flight == 16


async def test_the_strictest_recipe_holds_for_all(join: Join) -> None:
    wide, narrow = await join(concurrency=16), await join(concurrency=4)
    await narrow.fill(wants=40)
    await wide.fill(wants=40)
    assert narrow.in_flight + wide.in_flight <= 4


async def test_a_throttled_call_halves_the_limit_for_all_once(join: Join) -> None:
    first, second = await join(), await join()
    await first.renew(wants=40, throttled=0)
    assert first.slice.seats == 8
    assert (await second.renew(wants=40, throttled=0)).generation == 1
    assert first.slice.seats + second.slice.seats == 8
    assert (await first.renew(wants=40, throttled=1)).generation == 2
    assert first.slice.share == 2
    for generation in range(2, 6):
        await first.renew(wants=40, throttled=generation)
    assert first.slice.share + second.slice.share >= 1


async def test_windows_of_good_calls_of_all_workers_raise_the_limit(join: Join) -> None:
    first, second = await join(), await join()
    await first.renew(wants=40, throttled=0)
    await second.renew(wants=1, good=5)
    assert (await first.renew(wants=40, good=2)).share == 7
    assert (await first.renew(wants=40, good=1)).share == 8  # 8 good calls at a limit of 8, and one seat for the other
    assert (await first.renew(wants=40, good=9 + 10 + 11)).share == 11
    assert (await first.renew(wants=40, good=1000)).share == 15


async def test_a_limit_is_not_throttled_for_ever(join: Join) -> None:
    first = await join()
    await first.renew(wants=40, throttled=0)
    await first.slices.give_back(first.lease, Report())
    assert (await (await join()).renew(wants=40)).seats == 16


async def test_all_workers_hear_of_a_pause_at_once(join: Join) -> None:
    told, other = await join(), await join()
    await other.renew()
    news = asyncio.create_task(other.slices.news(30))
    await asyncio.sleep(0)
    await told.renew(pause=20.0)
    await asyncio.wait_for(news, 5)
    assert 19 < (await other.renew()).pause <= 20
    await told.renew(pause=5.0)
    assert 18 < (await other.renew()).pause <= 20


class Caller:
    """A worker that sends calls as fast as its allowance lets it; each bound is four times what the call takes."""

    def __init__(self, member: Member, limits: EndpointLimits, time: Time, rng: random.Random) -> None:
        self.sent: list[tuple[float, int]] = []
        self._member = member
        self._allowance = Allowance(limits, lambda: None)
        self._time = time
        self._rng = rng
        self._open: list[tuple[float, int, int, int]] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def step(self, calls: int, largest: int) -> None:
        """Renew, let replies come, and keep `calls` calls waiting."""
        now = self._time.seconds
        for each in [call for call in self._open if call[0] <= now]:
            self._open.remove(each)
            self._allowance.settle(*each[1:])
        given = await self._member.renew(wants=1, drawn=self._allowance.report())
        self._allowance.adopt(given)
        while len(self._calls) < calls:
            call = asyncio.create_task(self._call(self._rng.randint(1, largest)))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            await asyncio.sleep(0)

    async def _call(self, used: int) -> None:
        period = await self._allowance.draw(4 * used)
        now = self._time.seconds
        self.sent.append((now, used))
        self._open.append((now + self._rng.uniform(0, 8), period, 4 * used, used))

    def end(self) -> None:
        for call in self._calls:
            call.cancel()


def busiest_minute(sent: list[tuple[float, int]]) -> tuple[int, int]:
    """Return the most requests, and the most tokens, of any minute that begins with a call."""
    minutes = [[tokens for at, tokens in sent if start <= at < start + 60] for start, _ in sent]
    return max(map(len, minutes)), max(map(sum, minutes))


@pytest.mark.parametrize(("rpm", "tpm", "largest"), [(60, None, 10), (None, 3000, 50), (100, 4000, 100)])
async def test_no_minute_has_more_requests_or_tokens_than_the_limits(
    join: Join, time: Time, rpm: int | None, tpm: int | None, largest: int
) -> None:
    rng = random.Random(rpm)
    limits = EndpointLimits(concurrency=64, rpm=rpm, tpm=tpm)
    callers = [Caller(await join(concurrency=64, rpm=rpm, tpm=tpm), limits, time, rng) for _ in range(3)]
    while time.seconds < 140:
        for caller in callers:
            time.seconds += 0.5 * rng.random()
            await caller.step(12, largest)
    for caller in callers:
        caller.end()
    sent = sorted(call for caller in callers for call in caller.sent)
    requests, tokens = busiest_minute(sent)
    assert requests <= (rpm or requests)
    assert tokens <= (tpm or tokens)
    full = max(requests / (rpm or 1e9), tokens / (tpm or 1e9))
    assert full > 0.85
    counts = [len(caller.sent) for caller in callers]
    assert max(counts) < 2 * min(counts)


async def test_a_large_call_is_not_kept_waiting_by_small_ones(join: Join, time: Time) -> None:
    limits = EndpointLimits(concurrency=8, tpm=1000)
    small, large = await join(tpm=1000), await join(tpm=1000)
    many = Caller(small, limits, time, random.Random(1))
    allowance = Allowance(limits, lambda: None)
    draw = asyncio.create_task(allowance.draw(900))
    await asyncio.sleep(0)
    while not draw.done() and time.seconds < 200:
        time.seconds += 1
        await many.step(8, 5)
        allowance.adopt(await large.renew(drawn=allowance.report()))
        await asyncio.sleep(0)
    many.end()
    assert time.seconds < 130


async def test_what_a_dead_worker_held_counts_as_spent(join: Join, time: Time) -> None:
    dying, other = await join(rpm=10), await join(rpm=10)
    asking = Drawn(asks_requests=100)
    given = (await dying.renew(drawn=asking)).requests
    assert given > 0
    await die(dying)
    got = 0
    for _ in range(40):
        time.seconds += 1
        got += (await other.renew(drawn=Drawn(spent_requests=other.slice.requests, asks_requests=100))).requests
    assert got == 10 - given
    time.seconds += 30
    assert (await other.renew(drawn=asking)).requests > 0
