"""Batches outlive their workers: their keys stay theirs, and one other worker takes them over."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.batch import Batch, BatchRow, BatchStatus, InBatch
from kat_data.domain.call import Charge, Price, Sampling
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import EndpointDown
from kat_data.registry.batches import PostgresBook
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.testing import a_reply, a_request

pytestmark = pytest.mark.integration

ESTIMATE = Charge(usd=0.25, tokens=1000)
PRICE = Price(prompt=0.5, completion=1.5)
PLACE = "openai http://127.0.0.1:1/v1"


def a_batch(*requests: Any, token: str = "t") -> Batch:
    rows = tuple(BatchRow(request=request, estimate=ESTIMATE) for request in requests)
    return Batch(
        token=token,
        endpoint="cheap",
        place=PLACE,
        price=PRICE,
        created_at=datetime.now(UTC),
        size=len(rows),
        rows=rows,
    )


def held(registry: Registry) -> Charge:
    """Return what run 1 holds for batches whose worker has ended."""
    with registry.connection(autocommit=True) as connection:
        found = connection.execute(
            "SELECT sum(granted_usd), sum(granted_tokens)::bigint FROM budget_slices WHERE run_id = 1 AND worker_id < 0"
        ).fetchone()
    return Charge(usd=found[0], tokens=found[1])


class Desk:
    """One worker with its ledger and its book."""

    def __init__(self, worker: Worker, ledger: PostgresLedger, book: PostgresBook) -> None:
        self.worker, self.ledger, self.book = worker, ledger, book

    async def hand_in(self, *requests: Any, token: str = "t") -> Batch:
        for request in requests:
            assert await self.ledger.reserve(request, Charge()) is None
        batch = a_batch(*requests, token=token)
        ident, lost = await self.book.open(batch)
        assert lost == set()
        return replace(batch, id=ident)

    async def die(self) -> None:
        await self.ledger.close()
        await self.book.close()
        await self.worker.__aexit__(None, None, None)


Start = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def start(registry: Registry) -> AsyncIterator[Start]:
    with registry.connection(autocommit=True) as connection:
        connection.execute(
            "INSERT INTO runs (key, name, recipe, state, queries)"
            " SELECT n::text::bytea, 'test', '{}', 'open', 1 FROM generate_series(1, 3) AS n"
        )
    desks: list[Desk] = []

    async def start_(run: int = 1) -> Desk:
        worker = await Worker.start(registry, SystemClock())
        ledger = await PostgresLedger.open(registry, run=run, worker=worker.id, clock=SystemClock())
        desks.append(Desk(worker, ledger, PostgresBook(registry, run=run, worker=worker.id)))
        return desks[-1]

    yield start_
    for desk in desks:
        await desk.die()


async def test_a_batch_is_taken_over_once_with_the_rows_that_have_no_reply(registry, start) -> None:
    first = await start()
    call = ToolCall(name="f", arguments={"x": [1.0, 2, None, "ü"]})
    rich = a_request(
        sampling=Sampling(temperature=0.1 + 0.2, seed=3), sample=2, schema={"type": "object"}, tools=({"name": "f"},)
    )
    talk = a_request("?", revision="r")
    object.__setattr__(talk, "messages", (*talk.messages, Message(role=Role.ASSISTANT, content="", tool_calls=(call,))))
    answered = a_request("answered")
    batch = await first.hand_in(rich, talk, answered)
    until = datetime.now(UTC) + timedelta(days=1)
    await first.book.submitted(batch.id, BatchStatus(ident="batch_1", word="in_progress", expires_at=until))
    await first.ledger.settle(answered, a_reply(), Charge(), 1.0)
    second, third, stranger = await start(), await start(), await start(2)
    assert await second.book.adopt({PLACE: "here"}) == []  # its worker is alive
    await first.die()
    assert await stranger.book.adopt({PLACE: "here"}) == []  # another run does not pay for it
    assert held(registry) == ESTIMATE + ESTIMATE
    assert await second.book.adopt({"openai elsewhere": "here"}) == []
    [adopted] = await second.book.adopt({PLACE: "here"})
    assert await third.book.adopt({PLACE: "here"}) == []
    assert (adopted.id, adopted.ident, adopted.token, adopted.size, adopted.endpoint, adopted.price) == (
        batch.id, "batch_1", "t", 3, "here", PRICE,
    )  # fmt: skip
    assert {row.request.key for row in adopted.rows} == {rich.key, talk.key}
    assert set(map(repr, adopted.rows)) == {repr(BatchRow(request=each, estimate=ESTIMATE)) for each in (rich, talk)}
    await second.ledger.settle(rich, a_reply("late"), Charge(usd=0.01, tokens=15), 1.0)
    assert await third.ledger.reserve(rich, ESTIMATE) == a_reply("late")
    assert held(registry) == ESTIMATE + ESTIMATE
    await second.book.ended(adopted.id, "completed")
    assert held(registry) == Charge()
    assert await second.book.known(PLACE) == {"batch_1"}
    assert await third.book.known("openai elsewhere") == set()
    await second.die()
    assert await third.book.adopt({PLACE: "here"}) == []


async def test_keys_in_a_batch_are_nobody_elses_while_its_worker_is_dead(registry, start, spent) -> None:
    first, request = await start(), a_request()
    await first.hand_in(request)
    second = await start(2)
    assert await second.ledger.reserve(request, ESTIMATE) == InBatch()
    assert await second.book.look_up([request.key]) == {}
    await first.die()
    third = await start(3)  # frees what dead workers were asking
    assert await third.ledger.reserve(request, ESTIMATE) == InBatch()
    found = await third.book.look_up([request.key])
    assert isinstance(found[request.key], EndpointDown)
    assert "resume run 1" in str(found[request.key])
    assert spent(3) == Charge()


async def test_what_a_batch_can_cost_is_charged_under_way_and_free_again_without_a_reply(start, spent) -> None:
    desk = await start()
    first, second = a_request("one"), a_request("two")
    await desk.hand_in(first, second)
    assert spent() == ESTIMATE + ESTIMATE
    await desk.ledger.release(first, "expired")
    assert spent() == ESTIMATE
    assert await desk.book.look_up([first.key, second.key]) == {first.key: None}
    other = await start(2)
    assert await other.ledger.reserve(first, ESTIMATE) is None


async def test_a_key_that_went_to_another_worker_does_not_go_with_the_batch(registry, start, spent) -> None:
    desk, kept, lost = await start(), a_request("kept"), a_request("lost")
    for request in (kept, lost):
        await desk.ledger.reserve(request, Charge())
    other = await start()
    with registry.connection(autocommit=True) as connection:
        connection.execute("UPDATE calls SET worker_id = %s WHERE key = %s", [other.worker.id, lost.key])
    _, gone = await desk.book.open(a_batch(kept, lost))
    assert gone == {lost.key}
    assert spent() == ESTIMATE
