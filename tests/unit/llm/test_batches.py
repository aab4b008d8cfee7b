"""Calls through the gateway's batches, against the Batch APIs of two providers as our own servers speak them."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.call import Price
from kat_data.errors import BudgetExhausted, EndpointFault, EndpointRefused, RequestRejected, RunInterrupted, WorkerLost
from kat_data.llm.anthropic_batch import AnthropicBatches
from kat_data.llm.anthropic_http import AnthropicClient
from kat_data.llm.backoff import Backoff
from kat_data.llm.batch import BatchTerms, MemoryBook
from kat_data.llm.budget import Budget
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.estimate import upper_bound
from kat_data.llm.gateway import Gateway
from kat_data.llm.ledger import MemoryLedger
from kat_data.llm.openai_batch import OpenAIBatches
from kat_data.llm.openai_http import OpenAIClient
from kat_data.testing import a_request
from kat_data.testing.anthropic_server import AnthropicServer
from kat_data.testing.batch_desk import Course
from kat_data.testing.batch_server import BatchServer
from kat_data.testing.scripted_server import Fault

CLIENTS = {BatchServer: (OpenAIClient, OpenAIBatches), AnthropicServer: (AnthropicClient, AnthropicBatches)}
PRICE = Price(prompt=100.0, completion=1000.0)
KEY = "the-account's-secret-key"
REQUESTS = [a_request(f"What is {n} + 1?") for n in range(20)]


class Hasty(SystemClock):
    """A clock whose pauses are short, whatever is asked; its time is that of the pauses asked for."""

    def __init__(self) -> None:
        self.asked = 0.0

    def monotonic(self) -> float:
        return self.asked

    async def sleep(self, seconds: float) -> None:
        self.asked += seconds
        await super().sleep(min(seconds, 0.005))


class Bench:
    """A gateway over the server, with everything around it at hand."""

    def __init__(self, server: BatchServer, *, budget: Budget | None = None, tries: int = 3, **terms: float) -> None:
        self.ledger, self.book, self.budget = MemoryLedger(), MemoryBook(), budget or Budget()
        clock = Hasty()
        client, batches = CLIENTS[type(server)]
        endpoint = Endpoint(
            "cheap",
            client("cheap", server.url),
            backoff=Backoff(tries=tries),
            clock=clock,
            batch=batches("cheap", server.url, idle_seconds=5.0),
            terms=BatchTerms(**terms),  # type: ignore[arg-type]
            key=KEY,
        )
        self.gateway = Gateway(
            [endpoint], self.ledger, budget=self.budget, clock=clock, rng=random.Random(1), book=self.book
        )

    async def ask(self, *requests, in_batch: bool = True):
        calls = (self.gateway.call("cheap", each, price=PRICE, in_batch=in_batch) for each in requests)
        return await asyncio.gather(*calls, return_exceptions=True)


@pytest.fixture(params=CLIENTS, ids=["openai", "anthropic"])
async def server(request) -> AsyncIterator[BatchServer]:
    async with request.param() as server:
        yield server


openai_alone = pytest.mark.parametrize("server", [BatchServer], indirect=True)
anthropic_alone = pytest.mark.parametrize("server", [AnthropicServer], indirect=True)


@pytest.fixture
async def bench(server: BatchServer) -> AsyncIterator[Bench]:
    bench = Bench(server)
    yield bench
    await bench.gateway.close()


async def test_calls_go_in_one_batch_and_get_the_replies_that_they_would_get_at_once(server, bench) -> None:
    replies = await bench.ask(*REQUESTS)
    assert [len(batch.rows) for batch in server.desk.batches.values()] == [20]
    assert server.statistics.requests == 0
    other = Bench(server)
    assert replies == await other.ask(*REQUESTS, in_batch=False)
    assert bench.budget.spent == other.budget.spent == bench.ledger.charged
    assert bench.budget.spent.tokens == bench.gateway.counters.tokens > 0
    assert bench.budget._outstanding == 0
    assert (bench.gateway.counters.calls, bench.gateway.counters.batches.open) == (20, 0)
    await other.gateway.close()


async def test_the_same_key_is_paid_once_in_batch_or_at_once(server, bench) -> None:
    [first] = await bench.ask(REQUESTS[0])
    assert await bench.ask(REQUESTS[0], in_batch=False) == [first]
    assert await bench.ask(REQUESTS[0], REQUESTS[0]) == [first, first]
    await bench.ask(REQUESTS[1], in_batch=False)
    await bench.ask(REQUESTS[1])
    assert (len(server.desk.handed_in), server.statistics.requests) == (1, 1)


@pytest.mark.parametrize("end", ["expired", "cancelled"])
async def test_of_a_batch_that_ended_early_only_the_rest_is_handed_in_again(server, bench, end) -> None:
    server.desk.plan(Course(end=end, answered=15))
    replies = await bench.ask(*REQUESTS)
    assert all(reply.text for reply in replies)
    first, second = server.desk.batches.values()
    assert [ident for ident, _ in second.rows] == [ident for ident, _ in first.left]
    assert server.desk.handed_in.total() == 25
    words = {BatchServer: [end, "completed"], AnthropicServer: [end.replace("ll", "l"), "ended"]}
    assert list(bench.book.outcomes.values()) == words[type(server)]
    assert bench.gateway.counters.calls == 20


async def test_rows_with_errors_fail_alone(bench, server) -> None:
    failed = set()

    def script(body):
        task = body["messages"][-1]["content"]
        if "What is 3 +" in task:
            return Fault(status=400, text="too long")
        if "What is 4 +" in task and task not in failed:
            failed.add(task)
            return Fault(status=500)
        return "fine"

    server.answers = script
    replies = await bench.ask(*REQUESTS)
    assert isinstance(replies[3], RequestRejected)
    assert "too long" in str(replies[3])
    assert {reply.text for n, reply in enumerate(replies) if n != 3} == {"fine"}
    assert [len(batch.rows) for batch in server.desk.batches.values()] == [20, 1]
    assert REQUESTS[3].key not in bench.ledger.replies


async def test_a_row_that_fails_in_every_batch_is_given_up(server) -> None:
    bench = Bench(server, tries=2)
    server.answers = lambda body: Fault(status=500, text="always")
    [error] = await bench.ask(REQUESTS[0])
    assert isinstance(error, EndpointFault)
    assert "always" in str(error)
    assert server.desk.handed_in.total() == 2
    assert bench.budget.spent.usd == 0
    await bench.gateway.close()


@pytest.mark.parametrize("place", ["upload", "create", "look", "download"])
@pytest.mark.parametrize(
    "fault",
    [Fault(status=429), Fault(status=500), Fault(kind="drop"), Fault(kind="malformed"), Fault(kind="drop", late=True)],
)
async def test_faults_that_pass_hand_no_row_in_twice(server, bench, place, fault) -> None:
    server.fail_at(place, fault)
    replies = await bench.ask(*REQUESTS)
    assert all(reply.text for reply in replies)
    assert server.desk.handed_in.total() == 20


async def test_a_lost_answer_is_looked_for_over_all_pages_of_the_list(server, bench) -> None:
    for n in range(130):
        server.desk.take([(f"other {n}", {})])
    server.fail_at("create", Fault(status=500, late=True))
    server.fail_at("list", Fault(status=502))
    await bench.ask(*REQUESTS)
    assert all(server.desk.handed_in[request.key.hex()] == 1 for request in REQUESTS)


@openai_alone
async def test_a_batch_that_the_provider_has_no_room_for_is_handed_in_later(server, bench) -> None:
    full = Course(end="failed", code="token_limit_exceeded", text="Enqueued token limit reached")
    server.desk.plan(full, full, full, full)  # more often than a call may fail
    replies = await bench.ask(*REQUESTS)
    assert all(reply.text for reply in replies)
    assert len(server.desk.batches) == 5


@openai_alone
async def test_a_batch_that_the_provider_fails_stops_the_run(server, bench) -> None:
    server.desk.plan(Course(end="failed", text="The model `small` does not exist"))
    errors = await bench.ask(*REQUESTS)
    assert {type(error) for error in errors} == {EndpointRefused}
    assert "does not exist" in str(errors[0])
    [later] = await bench.ask(REQUESTS[0])
    assert isinstance(later, EndpointRefused)
    assert bench.budget._outstanding == 0


async def test_an_endpoint_without_a_batch_api_says_what_to_change(server) -> None:
    bench = Bench(server)
    for place in ("upload", "create"):
        server.fail_at(place, Fault(status=404))
    [error] = await bench.ask(REQUESTS[0])
    assert "Batch" in str(error)
    assert "take `mode: batch` from the roles" in str(error)
    await bench.gateway.close()


async def test_a_stop_leaves_batches_under_way_and_releases_what_is_gathered(server, bench) -> None:
    server.desk.held = True
    waiting = asyncio.create_task(bench.ask(*REQUESTS[:10]))
    while not bench.gateway.counters.batches.open:  # noqa: ASYNC110
        await asyncio.sleep(0)
    bench.gateway.stop(RunInterrupted("enough"))
    errors = await asyncio.wait_for(waiting, 5)
    assert {str(error) for error in errors} == {"enough"}
    await asyncio.wait_for(bench.gateway.close(), 5)
    assert bench.book.outcomes == {}


async def test_batches_hold_no_more_than_allowed(server) -> None:
    bench = Bench(server, requests=8)
    bench_bytes = Bench(server)
    await bench.ask(*REQUESTS)
    assert sorted(len(batch.rows) for batch in server.desk.batches.values()) == [4, 8, 8]
    client = bench_bytes.gateway._endpoints["cheap"].batch
    client.max_bytes = 5 * len(client.line(REQUESTS[15]))
    server.desk.batches.clear()
    huge = a_request("x" * 10_000)
    *replies, error = await bench_bytes.ask(*REQUESTS, huge)
    assert all(reply.text for reply in replies)
    assert isinstance(error, RequestRejected)
    assert all(len(batch.rows) <= 5 for batch in server.desk.batches.values())
    for each in (bench, bench_bytes):
        await each.gateway.close()


async def test_the_budget_bounds_what_is_handed_in_at_once(server) -> None:
    bound = upper_bound(REQUESTS[0], PRICE).usd
    bench = Bench(server, budget=Budget(usd=5.5 * bound))
    replies = await bench.ask(*REQUESTS[:10])
    assert all(reply.text for reply in replies)
    assert max(len(batch.rows) for batch in server.desk.batches.values()) == 5
    await bench.gateway.close()
    poor = Bench(server, budget=Budget(usd=bound / 2))
    [error] = await poor.ask(REQUESTS[0])
    assert isinstance(error, BudgetExhausted)
    await poor.gateway.close()


async def test_models_and_prices_have_batches_of_their_own(server, bench) -> None:
    await bench.ask(a_request("one", model="a"), a_request("two", model="b"))
    assert sorted(batch.rows[0][1]["model"] for batch in server.desk.batches.values()) == ["a", "b"]


@anthropic_alone
async def test_a_batch_of_the_same_size_is_not_taken_for_ours(server, bench) -> None:
    for n in range(2):
        ended = server.desk.take([(f"{n}{row}", {"model": "m", "max_tokens": 1, "messages": []}) for row in range(20)])
        server.desk.look(ended.ident)
    server.fail_at("create", Fault(kind="drop", late=True))
    replies = await bench.ask(*REQUESTS)
    assert all(reply.text for reply in replies)
    assert all(server.desk.handed_in[request.key.hex()] == 1 for request in REQUESTS)


@openai_alone
async def test_a_bad_key_stops_the_run_before_anything_is_handed_in(server) -> None:
    async with BatchServer(api_key="right") as locked:
        bench = Bench(locked)
        errors = await bench.ask(*REQUESTS)
        assert {type(error) for error in errors} == {EndpointRefused}
        assert not locked.desk.batches
        assert bench.budget.spent.usd == 0
        await bench.gateway.close()


async def test_where_it_is_not_known_whether_a_batch_was_handed_in_its_keys_are_kept(server, bench) -> None:
    server.fail_at("create", Fault(kind="drop", late=True))
    server.fail_at("list", Fault(status=401))
    errors = await bench.ask(*REQUESTS)
    assert {type(error) for error in errors} == {EndpointRefused}
    await bench.gateway.close()
    assert bench.book.outcomes == {}
    assert set(bench.ledger._owned) == {request.key for request in REQUESTS}


class Choosy(MemoryLedger):
    """A ledger that refuses the first reply to one request, as Postgres does a text that it cannot hold."""

    def __init__(self, refused) -> None:
        super().__init__()
        self._refused = [refused.key]

    async def settle(self, request, reply, charge, seconds) -> None:
        if request.key in self._refused:
            self._refused.remove(request.key)
            await self.lose(request, charge)
            await self.release(request, "no")
            raise TypeError("surrogates not allowed")
        await super().settle(request, reply, charge, seconds)


async def test_a_row_that_cannot_be_stored_is_asked_again_alone(server) -> None:
    bench = Bench(server)
    ledger = bench.gateway._ledger = Choosy(REQUESTS[7])
    bench.gateway._batches._tools = replace(bench.gateway._batches._tools, ledger=ledger)
    replies = await bench.ask(*REQUESTS)
    assert all(reply.text for reply in replies)
    assert [len(batch.rows) for batch in server.desk.batches.values()] == [20, 1]
    assert ledger.charged == bench.budget.spent
    assert bench.budget._outstanding == 0
    await bench.gateway.close()


async def test_what_breaks_the_machinery_ends_the_worker(server, bench, monkeypatch) -> None:
    async def broken(batch, word):
        raise RuntimeError("a defect")

    monkeypatch.setattr(bench.book, "ended", broken)
    server.answers = lambda body: Fault(status=500) if "What is 3 +" in body["messages"][-1]["content"] else "fine"
    *_, error = await bench.ask(*REQUESTS[:4])
    [later] = await bench.ask(REQUESTS[9])
    assert type(error) is type(later) is WorkerLost
    assert "a defect): start another one" in str(error)


async def test_replies_keep_no_key_of_the_endpoint(server, bench) -> None:
    server.answers = server._script = lambda body: f"the key is {KEY}, indeed"
    for in_batch, request in ((True, REQUESTS[0]), (False, REQUESTS[1])):
        [reply] = await bench.ask(request, in_batch=in_batch)
        assert reply.text == bench.ledger.replies[request.key].text == "the key is ***, indeed"


async def test_every_client_is_closed_whatever_the_others_raise(server) -> None:
    bench = Bench(server)
    await bench.ask(REQUESTS[0])
    await bench.ask(REQUESTS[1], in_batch=False)
    endpoint = bench.gateway._endpoints["cheap"]
    closed = []

    def failing(name, close):
        async def close_and_fail() -> None:
            closed.append(name)
            await close()
            raise OSError(name)

        return close_and_fail

    endpoint.batch.close, endpoint.client.close = (
        failing("batches", endpoint.batch.close), failing("calls", endpoint.client.close)
    )  # fmt: skip
    with pytest.raises(OSError, match="calls"):
        await bench.gateway.close()
    assert closed == ["batches", "calls"]
