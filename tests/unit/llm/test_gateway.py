import asyncio
import random

import pytest

from kat_data.clock import ManualClock
from kat_data.domain.call import Charge, FinishReason, Price, Sampling
from kat_data.errors import (
    BudgetExhausted,
    EndpointDown,
    EndpointFault,
    EndpointRefused,
    RecordingMiss,
    RequestRejected,
)
from kat_data.llm.backoff import Backoff
from kat_data.llm.budget import Budget
from kat_data.llm.client import Transient
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.estimate import upper_bound
from kat_data.llm.gateway import Gateway
from kat_data.llm.ledger import MemoryLedger
from kat_data.llm.replay import Recording, ReplayClient
from kat_data.testing import ScriptedClient, a_reply, a_request

PRICE = Price(prompt=100.0, completion=1000.0)
# What a_reply() costs: 10 prompt tokens and 5 completion tokens.
CENTS = 0.006
BOUND = upper_bound(a_request(), PRICE)
FAULT = Transient("endpoint a answers HTTP 500")
LOST = Transient("endpoint a broke the connection", maybe_paid=True)
UNREACHABLE = Transient("endpoint a cannot be reached", unreachable=True)


class Gated:
    """A client that answers when it is told to."""

    def __init__(self):
        self.open = asyncio.Event()
        self.requests = []

    async def complete(self, request):
        self.requests.append(request)
        await self.open.wait()
        return a_reply()

    async def close(self):
        self.open.set()


class Bench:
    """A gateway over one endpoint, with everything around it at hand."""

    def __init__(self, *answers, client=None, budget=None, concurrency=64, tries=6, ledger=None, clock=None):
        left = list(answers)
        self.client = client or ScriptedClient(lambda request: left.pop(0) if left else a_reply())
        self.clock = clock or ManualClock()
        self.ledger = ledger or MemoryLedger()
        self.budget = budget or Budget()
        backoff = Backoff(tries=tries)
        self.endpoint = Endpoint("a", self.client, concurrency=concurrency, backoff=backoff, clock=self.clock)
        self.gateway = Gateway(
            [self.endpoint],
            self.ledger,
            budget=self.budget,
            clock=self.clock,
            rng=random.Random(1),
        )

    async def call(self, *texts, **fields):
        return await self.gateway.call("a", a_request(*texts, **fields), price=PRICE)

    def nothing_is_held(self):
        assert self.budget._reserved == Charge()
        assert self.endpoint.limit.in_flight == 0
        assert self.ledger._owned == {}
        assert self.gateway._flights == {}


class Asleep(ManualClock):
    """A clock on which no sleep ever ends."""

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.Event().wait()


async def settle_down():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_call_is_answered_stored_and_paid_to_the_cent():
    bench = Bench()
    assert await bench.call() == a_reply()
    assert bench.ledger.replies == {a_request().key: a_reply()}
    assert bench.ledger.charged.usd == bench.budget.spent.usd == pytest.approx(CENTS)
    assert bench.ledger.charged.tokens == bench.budget.spent.tokens == 15
    counters = bench.gateway.counters
    assert (counters.calls, counters.reused, counters.retries, counters.tokens) == (1, 0, 0, 15)
    assert counters.usd == pytest.approx(CENTS)
    bench.nothing_is_held()


async def test_a_stored_reply_costs_nothing_even_when_the_budget_is_spent():
    ledger = MemoryLedger()
    await Bench(ledger=ledger).call()
    bench = Bench(ledger=ledger, budget=Budget(usd=0.0))
    assert await bench.call() == a_reply()
    assert bench.client.requests == []
    assert (bench.gateway.counters.calls, bench.gateway.counters.reused) == (0, 1)


async def test_ten_callers_of_one_key_make_one_request():
    bench = Bench(client=Gated())
    calls = [asyncio.create_task(bench.call()) for _ in range(10)]
    await settle_down()
    bench.client.open.set()
    replies = await asyncio.gather(*calls)
    assert replies == [a_reply()] * 10
    assert len(bench.client.requests) == 1
    assert (bench.gateway.counters.calls, bench.gateway.counters.reused) == (1, 9)
    assert bench.budget.spent.usd == pytest.approx(CENTS)


async def test_followers_share_the_leaders_failure():
    bench = Bench(*[FAULT] * 3, tries=3)
    outcomes = await asyncio.gather(*(bench.call() for _ in range(4)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EndpointFault] * 4
    assert len({id(outcome) for outcome in outcomes}) == 4
    assert len(bench.client.requests) == 3


async def test_a_cancelled_leader_hands_over_to_a_follower():
    bench = Bench(client=Gated())
    leader, follower = (asyncio.create_task(bench.call()) for _ in range(2))
    await settle_down()
    leader.cancel()
    await settle_down()
    bench.client.open.set()
    assert await follower == a_reply()
    assert len(bench.client.requests) == 2
    bench.nothing_is_held()


async def test_cancellation_in_flight_frees_the_key_and_keeps_the_charge():
    bench = Bench(client=Gated())
    call = asyncio.create_task(bench.call())
    await settle_down()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert bench.ledger.charged == bench.budget.spent == BOUND
    bench.nothing_is_held()


async def test_cancellation_before_the_request_is_sent_costs_nothing():
    bench = Bench(client=Gated(), concurrency=1)
    first, second = (asyncio.create_task(bench.call(text)) for text in ("first", "second"))
    await settle_down()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    bench.client.open.set()
    await first
    assert bench.ledger.charged.usd == pytest.approx(CENTS)
    bench.nothing_is_held()


async def test_a_reply_is_stored_although_its_caller_is_cancelled_meanwhile():
    storing = asyncio.Event()

    class SlowLedger(MemoryLedger):
        async def settle(self, *arguments):
            await storing.wait()
            await super().settle(*arguments)

    bench = Bench(ledger=SlowLedger())
    call = asyncio.create_task(bench.call())
    await settle_down()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    storing.set()
    await bench.gateway.close()
    assert list(bench.ledger.replies.values()) == [a_reply()]


async def test_passing_faults_are_retried_with_growing_jittered_pauses():
    bench = Bench(*[FAULT] * 5)
    assert await bench.call() == a_reply()
    assert len(bench.clock.slept) == bench.gateway.counters.retries == 5
    assert all(0 <= slept <= 0.5 * 2**n for n, slept in enumerate(bench.clock.slept))
    assert bench.budget.spent.usd == pytest.approx(CENTS)


async def test_a_fault_that_outlives_its_retries_costs_nothing_and_frees_the_key():
    bench = Bench(*[FAULT] * 3, tries=3)
    with pytest.raises(EndpointFault, match="HTTP 500, in each of 3 tries"):
        await bench.call()
    assert bench.ledger.charged == bench.budget.spent == Charge()
    bench.nothing_is_held()
    assert await bench.call() == a_reply()


async def test_every_try_that_may_have_been_charged_is_charged():
    bench = Bench(LOST, FAULT, LOST)
    await bench.call()
    assert bench.budget.spent.usd == pytest.approx(2 * BOUND.usd + CENTS)
    assert bench.ledger.charged.usd == pytest.approx(2 * BOUND.usd + CENTS)
    assert bench.gateway.counters.tokens == 2 * BOUND.tokens + 15


async def test_a_failed_call_that_may_have_been_charged_stays_charged():
    bench = Bench(LOST, FAULT, tries=2)
    with pytest.raises(EndpointFault):
        await bench.call()
    assert bench.ledger.charged == bench.budget.spent == BOUND


async def test_a_failed_call_stays_charged_for_each_of_its_tries():
    bench = Bench(LOST, FAULT, LOST, tries=3)
    with pytest.raises(EndpointFault):
        await bench.call()
    assert bench.ledger.charged == bench.budget.spent == BOUND + BOUND


async def test_bad_replies_are_paid_and_stored():
    cut = a_reply(finish_reason=FinishReason.LENGTH)
    bench = Bench(cut)
    assert await bench.call() == cut
    assert bench.ledger.replies == {a_request().key: cut}
    assert bench.budget.spent.usd == pytest.approx(CENTS)


async def test_the_budget_stops_the_run_and_leaves_the_key_free():
    bench = Bench(budget=Budget(usd=BOUND.usd / 2))
    with pytest.raises(BudgetExhausted, match="raise the budget"):
        await bench.call()
    assert bench.client.requests == []
    assert bench.ledger.charged == Charge()
    bench.nothing_is_held()


async def test_a_hundred_concurrent_callers_never_pass_the_budget():
    cap = BOUND.usd + 20 * CENTS
    highest = 0.0

    class Watched(ScriptedClient):
        async def complete(self, request):
            nonlocal highest
            highest = max(highest, bench.budget.spent.usd + bench.budget._reserved.usd)
            await asyncio.sleep(0)
            return await super().complete(request)

    bench = Bench(client=Watched(lambda request: a_reply()), budget=Budget(usd=cap))
    calls = (bench.call(sample=n) for n in range(100))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    stopped = [outcome for outcome in outcomes if isinstance(outcome, BudgetExhausted)]
    assert highest <= cap + 1e-9
    # Room for one bound beside twenty real prices: callers wait for each other, and none is refused early.
    assert len(outcomes) - len(stopped) == 21 == len(bench.client.requests)
    assert bench.budget.spent.usd == pytest.approx(21 * CENTS)
    assert bench.ledger.charged.usd == pytest.approx(21 * CENTS)
    bench.nothing_is_held()


@pytest.mark.parametrize("error", [EndpointRefused("wrong key: set A_KEY"), RecordingMiss("record it")])
async def test_one_stop_ends_every_later_and_waiting_call(error):
    bench = Bench(error, concurrency=1)
    outcomes = await asyncio.gather(*(bench.call(sample=n) for n in range(10)), return_exceptions=True)
    assert [(type(outcome), str(outcome)) for outcome in outcomes] == [(type(error), str(error))] * 10
    assert len(bench.client.requests) == 1
    with pytest.raises(type(error)):
        await bench.call("later")
    assert bench.ledger.charged == Charge()
    bench.nothing_is_held()


async def test_a_stop_wakes_calls_that_sleep_before_a_retry():
    clock = Asleep()
    bench = Bench(FAULT, EndpointRefused("wrong key"), clock=clock)
    sleeper = asyncio.create_task(bench.call("sleeper"))
    await settle_down()
    assert len(clock.slept) == 1
    with pytest.raises(EndpointRefused):
        await bench.call("refused")
    with pytest.raises(EndpointRefused):
        await asyncio.wait_for(sleeper, 1)
    bench.nothing_is_held()


async def test_a_stop_at_one_endpoint_ends_the_waiting_at_another():
    slow, refusing = Gated(), ScriptedClient(lambda request: EndpointRefused("wrong key"))
    endpoints = [Endpoint("slow", slow, concurrency=1), Endpoint("refusing", refusing)]
    gateway = Gateway(endpoints, MemoryLedger())
    first, *waiting = (asyncio.create_task(gateway.call("slow", a_request(sample=n))) for n in range(6))
    await settle_down()
    with pytest.raises(EndpointRefused):
        await gateway.call("refusing", a_request("refused"))
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1)
    assert [type(outcome) for outcome in outcomes] == [EndpointRefused] * 5
    assert len(slow.requests) == 1
    slow.open.set()
    assert await first == a_reply()


async def test_calls_in_flight_are_finished_after_a_stop():
    gated = Gated()

    class Mixed:
        async def complete(self, request):
            if request.messages[0].content == "refused":
                raise EndpointRefused("wrong key")
            return await gated.complete(request)

    bench = Bench(client=Mixed())
    under_way = asyncio.create_task(bench.call("under way"))
    await settle_down()
    with pytest.raises(EndpointRefused):
        await bench.call("refused")
    gated.open.set()
    assert await under_way == a_reply()
    assert len(bench.ledger.replies) == 1


async def test_an_endpoint_that_nobody_serves_stops_the_run():
    bench = Bench(*[UNREACHABLE] * 3, tries=3)
    with pytest.raises(EndpointDown, match="cannot be reached: start it"):
        await bench.call()
    assert bench.ledger.charged == Charge()


async def test_many_faults_in_a_row_stop_the_run():
    bench = Bench(*[FAULT] * 100, tries=2, concurrency=1)
    outcomes = await asyncio.gather(*(bench.call(sample=n) for n in range(12)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EndpointFault] * 7 + [EndpointDown] * 5
    assert len(bench.client.requests) == 16


async def test_a_rejected_request_fails_alone():
    bench = Bench(a_reply(), RequestRejected("too long"))
    await bench.call("first")
    with pytest.raises(RequestRejected, match="too long"):
        await bench.call("second")
    assert await bench.call("third") == a_reply()
    assert bench.budget.spent.usd == pytest.approx(2 * CENTS)
    bench.nothing_is_held()


async def test_a_throttled_endpoint_gets_half_as_many_calls():
    bench = Bench(Transient("HTTP 429", throttled=True), concurrency=8)
    await bench.call()
    assert bench.endpoint.limit.limit == 4


async def test_retry_after_holds_for_every_caller():
    bench = Bench(Transient("HTTP 429", throttled=True, retry_after=20.0))
    sent_at = []
    script = bench.client._script
    bench.client._script = lambda request: (sent_at.append(bench.clock.monotonic()), script(request))[1]
    await bench.call("first")
    assert sent_at == [0.0, 20.0]

    bench.endpoint.limit.pause(7.0)
    await bench.call("second")
    assert sent_at[-1] == 27.0


async def test_one_callers_retry_after_keeps_the_others_from_sending():
    bench = Bench(Transient("HTTP 429", throttled=True, retry_after=20.0), clock=Asleep())
    told = asyncio.create_task(bench.call("told"))
    await settle_down()
    others = [asyncio.create_task(bench.call("other", sample=n)) for n in range(3)]
    await settle_down()
    assert len(bench.client.requests) == 1
    assert bench.clock.slept == [20.0] * 4
    for call in (told, *others):
        call.cancel()
    await asyncio.gather(told, *others, return_exceptions=True)
    bench.nothing_is_held()


async def test_a_pause_beyond_patience_stops_the_run():
    bench = Bench(Transient("endpoint a answers HTTP 429", throttled=True, retry_after=3600.0))
    with pytest.raises(EndpointDown, match="3600 s: resume the run then"):
        await bench.call()
    assert bench.clock.slept == []


async def test_no_more_requests_than_the_concurrency_are_under_way():
    peak = 0

    class Counting(Gated):
        async def complete(self, request):
            nonlocal peak
            peak = max(peak, bench.endpoint.limit.in_flight)
            await asyncio.sleep(0)
            return a_reply()

    bench = Bench(client=Counting(), concurrency=5)
    await asyncio.gather(*(bench.call(sample=n) for n in range(50)))
    assert peak == 5
    assert bench.gateway.counters.calls == 50


async def test_the_sum_of_many_prices_is_exact_to_the_cent():
    bench = Bench()
    await asyncio.gather(*(bench.call(sample=n, sampling=Sampling(max_tokens=50)) for n in range(1_000)))
    assert round(bench.budget.spent.usd, 6) == round(bench.ledger.charged.usd, 6) == 6.0
    assert bench.budget.spent.tokens == 15_000
    bench.nothing_is_held()


async def test_closing_closes_the_clients():
    bench = Bench()
    await bench.gateway.close()
    assert bench.client.closed


async def test_a_replayed_run_stops_at_the_first_missing_call():
    recording = Recording()
    recording.add(a_request("known"), a_reply("recorded"))
    bench = Bench(client=ReplayClient(recording))
    assert (await bench.call("known")).text == "recorded"
    with pytest.raises(RecordingMiss):
        await bench.call("unknown")
