"""Every key is paid once: over callers, workers, crashes and failures."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from kat_data.clock import SystemClock
from kat_data.domain.call import Charge, FinishReason, Sampling
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import LeaseLost, WorkerLost
from kat_data.registry import queries
from kat_data.registry.claims import GROUPS_BY_KEYS
from kat_data.registry.ledger import SETTLE, PostgresLedger
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.testing import a_reply, a_request

pytestmark = pytest.mark.integration

ESTIMATE = Charge(usd=0.25, tokens=1000)
PRICE = Charge(usd=0.01, tokens=15)

Open = Callable[..., Awaitable[PostgresLedger]]


@pytest.fixture
async def open_ledger(registry: Registry) -> AsyncIterator[Open]:
    """Opens ledgers of runs 1 to 3, each of a live worker of its own, that close when the test ends."""
    with registry.connection(autocommit=True) as connection:
        connection.execute(
            "INSERT INTO runs (key, name, recipe, state, queries)"
            " SELECT n::text::bytea, 'test', '{}', 'open', 1 FROM generate_series(1, 3) AS n"
        )
    async with asyncio.timeout(60):
        workers: list[Worker] = []
        ledgers: list[PostgresLedger] = []

        async def open_(run: int = 1, **options: Any) -> PostgresLedger:
            workers.append(await Worker.start(registry, SystemClock()))
            ledger = await PostgresLedger.open(registry, run=run, worker=workers[-1].id, clock=SystemClock(), **options)
            ledgers.append(ledger)
            return ledger

        yield open_
        for ledger in ledgers:
            await ledger.close()
        for worker in workers:
            await worker.__aexit__(None, None, None)


def call_row(registry: Registry, columns: str, where: str = "") -> tuple[Any, ...]:
    with registry.connection(autocommit=True) as connection:
        [row] = connection.execute(f"SELECT {columns} FROM calls {where}").fetchall()
        return row


async def test_a_stored_reply_is_returned_and_not_paid_again(registry, open_ledger, spent) -> None:
    ledger = await open_ledger()
    request = a_request("How much is 6 * 7?", sampling=Sampling(temperature=0.7, seed=3), sample=2)
    reply = a_reply("42 是\n答案", reasoning="6 * 7", tool_calls=(ToolCall(name="f", arguments={"a": [1, 2.0, None]}),))
    assert await ledger.reserve(request, ESTIMATE) is None
    assert spent() == ESTIMATE
    await ledger.settle(request, reply, PRICE, seconds=1.5)
    assert await ledger.reserve(request, ESTIMATE) == reply
    assert await (await open_ledger(run=2)).reserve(request, ESTIMATE) == reply
    assert spent() == PRICE
    assert call_row(registry, "key, state, model, finish_reason, usd, tokens, seconds, run_id, recorded") == (
        request.key, "done", "scripted", "stop", 0.01, 15, 1.5, 1, False,
    )  # fmt: skip
    assert call_row(registry, "request->'sampling'->>'temperature', request->>'sample'") == ("0.7", "2")


async def test_a_cut_reply_is_a_reply(registry, open_ledger) -> None:
    ledger, request = await open_ledger(), a_request()
    cut = a_reply("half an ans", finish_reason=FinishReason.LENGTH)
    await ledger.reserve(request, ESTIMATE)
    await ledger.settle(request, cut, PRICE, seconds=0.1)
    assert await ledger.reserve(request, ESTIMATE) == cut
    assert call_row(registry, "finish_reason") == ("length",)


async def test_many_keys_at_once(registry, open_ledger, spent) -> None:
    ledger = await open_ledger()
    requests = [a_request(f"question {n}") for n in range(300)]
    assert await asyncio.gather(*(ledger.reserve(request, ESTIMATE) for request in requests)) == [None] * 300
    await asyncio.gather(*(ledger.settle(r, a_reply(r.messages[0].content), PRICE, 0.1) for r in requests))
    assert (spent().usd, spent().tokens) == (pytest.approx(3.0), 4500)
    again = [*requests, a_request("a new one")]
    replies = await asyncio.gather(*(ledger.reserve(request, ESTIMATE) for request in again))
    assert [reply and reply.text for reply in replies] == [f"question {n}" for n in range(300)] + [None]


async def test_the_second_worker_waits_for_the_firsts_reply(open_ledger, spent) -> None:
    first, second, request = await open_ledger(), await open_ledger(run=2), a_request()
    assert await first.reserve(request, ESTIMATE) is None
    waiter = asyncio.create_task(second.reserve(request, ESTIMATE))
    other = a_request("another question")
    assert await second.reserve(other, ESTIMATE) is None  # asked after the waiter, granted before it
    assert not waiter.done()
    await first.settle(request, a_reply("paid once"), PRICE, seconds=0.1)
    assert await waiter == a_reply("paid once")
    assert spent() == PRICE
    await second.release(other, "not needed")
    assert spent(2) == Charge()


async def test_the_second_worker_pays_where_the_first_fails(open_ledger, spent) -> None:
    first, second, request = await open_ledger(), await open_ledger(run=2), a_request()
    assert await first.reserve(request, ESTIMATE) is None
    waiter = asyncio.create_task(second.reserve(request, ESTIMATE))
    await first.release(request, "HTTP 500")
    assert await waiter is None
    await second.settle(request, a_reply(), PRICE, seconds=0.1)
    assert spent(2) == PRICE


async def test_a_failed_key_can_be_asked_again(registry, open_ledger) -> None:
    ledger, request = await open_ledger(), a_request()
    assert await ledger.reserve(request, ESTIMATE) is None
    await ledger.release(request, "connection refused")
    assert call_row(registry, "state, error, usd, lost_usd") == ("failed", "connection refused", 0.0, 0.0)
    assert await ledger.reserve(request, ESTIMATE) is None
    assert call_row(registry, "state, error") == ("reserved", None)
    await ledger.settle(request, a_reply(), PRICE, seconds=0.1)
    assert await ledger.reserve(request, ESTIMATE) == a_reply()


async def test_tries_that_may_have_been_charged_stay_charged(registry, open_ledger, spent) -> None:
    ledger, request = await open_ledger(), a_request()
    for _ in range(2):
        assert await ledger.reserve(request, ESTIMATE) is None
        await ledger.lose(request, ESTIMATE)
        await ledger.release(request, "silence")
    assert spent() == Charge(usd=0.5, tokens=2000)
    await ledger.reserve(request, ESTIMATE)
    await ledger.lose(request, ESTIMATE)
    assert spent() == Charge(usd=1.0, tokens=4000)
    await ledger.settle(request, a_reply(), PRICE, seconds=0.1)
    assert spent() == Charge(usd=0.76, tokens=3015)
    with registry.engine.connect() as connection:
        cost = queries.run_cost(connection, 1)
    assert (cost.made, cost.failed, cost.usd, cost.usd_lost) == (1, 0, pytest.approx(0.76), 0.75)
    assert call_row(registry, "usd, tokens") == (0.01, 15)


async def test_each_run_is_charged_for_its_own_calls(open_ledger, spent) -> None:
    for run in (1, 2):
        ledger = await open_ledger(run=run)
        for number in range(run):
            request = a_request(f"run {run}, call {number}")
            await ledger.reserve(request, ESTIMATE)
            await ledger.settle(request, a_reply(), PRICE, seconds=0.1)
        assert spent(run) == Charge(usd=0.01 * run, tokens=15 * run)


RESERVE_AND_HANG = """
import asyncio, sys
from kat_data.clock import SystemClock
from kat_data.domain.call import Charge
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.testing import a_request

async def main():
    registry = Registry(sys.argv[1])
    worker = await Worker.start(registry, SystemClock())
    ledger = await PostgresLedger.open(registry, run=1, worker=worker.id, clock=SystemClock())
    print(await ledger.reserve(a_request(), Charge(usd=0.25, tokens=1000)), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def reserve_and_hang(registry: Registry) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the reservation of `a_request()`."""
    command = [sys.executable, "-c", RESERVE_AND_HANG, registry.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        yield process


async def test_a_killed_callers_key_goes_to_the_next_and_stays_charged(registry, open_ledger, spent) -> None:
    ledger, request = await open_ledger(), a_request()
    with reserve_and_hang(registry) as process:
        waiter = asyncio.create_task(ledger.reserve(request, ESTIMATE))
        other = a_request("another question")
        await ledger.reserve(other, Charge())
        assert not waiter.done()
        process.send_signal(signal.SIGKILL)
    assert await waiter is None
    await ledger.release(other, "not needed")
    lost = call_row(registry, "state, usd, lost_usd, lost_tokens", "WHERE lost_usd > 0")
    assert lost == ("reserved", 0.25, 0.25, 1000)
    await ledger.settle(request, a_reply(), PRICE, seconds=0.1)
    assert spent() == Charge(usd=0.26, tokens=1015)


async def test_a_loss_stays_with_its_run_when_another_pays_for_the_key(registry, open_ledger, spent) -> None:
    request = a_request()
    with reserve_and_hang(registry) as process:
        process.send_signal(signal.SIGKILL)
    other = await open_ledger(run=2)
    assert await other.reserve(request, ESTIMATE) is None
    await other.lose(request, Charge(usd=0.5, tokens=7))
    await other.settle(request, a_reply(), PRICE, seconds=0.1)
    assert spent(2) == Charge(usd=0.51, tokens=22)
    assert spent(1) == ESTIMATE


async def test_a_late_settlement_of_a_lost_key_is_refused(registry, open_ledger) -> None:
    lost, request = await open_ledger(), a_request()
    await lost.reserve(request, ESTIMATE)
    with registry.connection(autocommit=True) as connection:  # its worker was taken for dead, and the key reserved anew
        connection.execute("UPDATE calls SET worker_id = worker_id + 1000")
    with pytest.raises(LeaseLost):
        await lost.settle(request, a_reply("late"), PRICE, seconds=0.1)
    with pytest.raises(LeaseLost):
        await lost.lose(request, ESTIMATE)
    assert call_row(registry, "state, reply") == ("reserved", None)


async def test_calls_of_a_recorded_ledger_are_marked(registry, open_ledger) -> None:
    ledger, request = await open_ledger(recorded=True), a_request()
    await ledger.reserve(request, ESTIMATE)
    await ledger.settle(request, a_reply(), PRICE, seconds=0.0)
    with registry.engine.connect() as connection:
        cost = queries.run_cost(connection, 1)
    assert (cost.made, cost.recorded) == (1, 1)


async def test_a_key_whose_settlement_failed_does_not_block_its_own_worker(registry, open_ledger, spent) -> None:
    ledger, request = await open_ledger(), a_request()
    await ledger.reserve(request, ESTIMATE)
    with pytest.raises(psycopg.DataError):
        await ledger.settle(request, a_reply("a\0b"), PRICE, seconds=0.0)
    assert await ledger.reserve(request, ESTIMATE) is None
    await ledger.settle(request, a_reply("ab"), PRICE, seconds=0.0)
    assert spent() == Charge(usd=0.02, tokens=30)


async def test_a_reply_that_is_no_json_fails_alone_and_leaves_its_key_free(open_ledger, spent) -> None:
    ledger = await open_ledger()
    requests = [a_request(f"question {n}") for n in range(20)]
    await asyncio.gather(*(ledger.reserve(request, ESTIMATE) for request in requests))
    texts = ["fine"] * 19 + ["a lone surrogate \ud800"]
    ends = await asyncio.gather(
        *(ledger.settle(request, a_reply(text), PRICE, 0.1) for request, text in zip(requests, texts, strict=True)),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [type(None)] * 19 + [TypeError]
    assert spent().usd == pytest.approx(20 * PRICE.usd)  # paid for, stored or not
    assert await ledger.reserve(requests[-1], ESTIMATE) is None
    await ledger.release(requests[-1], "an error text that no database holds: \0 \ud800")
    assert await ledger.reserve(requests[-1], ESTIMATE) is None
    await ledger.settle(requests[-1], a_reply(), PRICE, 0.1)


async def test_who_waits_for_anothers_keys_looks_once_for_all_of_them(open_ledger, monkeypatch) -> None:
    asking, waiting = await open_ledger(), await open_ledger(run=2)
    requests = [a_request(f"question {n}") for n in range(50)]
    await asyncio.gather(*(asking.reserve(request, ESTIMATE) for request in requests))
    looks = []
    look = waiting._asked_elsewhere._settled

    async def counted(keys):
        looks.append(len(keys))
        return await look(keys)

    monkeypatch.setattr(waiting._asked_elsewhere, "_settled", counted)
    waiters = [asyncio.create_task(waiting.reserve(request, ESTIMATE)) for request in requests]
    while not looks:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.gather(*(asking.settle(request, a_reply(), PRICE, 0.1) for request in requests[:-1]))
    await asking.release(requests[-1], "HTTP 500")
    assert await asyncio.gather(*waiters) == [a_reply()] * 49 + [None]
    assert looks[0] == 50
    assert len(looks) < 10


async def test_who_waits_hears_that_its_worker_was_taken_for_dead(registry, open_ledger) -> None:
    asking, waiting, request = await open_ledger(), await open_ledger(run=2), a_request()
    await asking.reserve(request, ESTIMATE)
    waiters = [asyncio.create_task(waiting.reserve(request, ESTIMATE)) for _ in range(3)]
    with registry.connection(autocommit=True) as connection:
        connection.execute("DELETE FROM budget_slices WHERE run_id = 2")
    ends = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(end) for end in ends} == {WorkerLost}


async def test_a_ledger_that_cannot_be_opened_leaves_no_connection(registry, monkeypatch) -> None:
    monkeypatch.setattr("kat_data.registry.ledger.OPEN_SLICE", "SELECT nonsense")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await PostgresLedger.open(registry, run=1, worker=1, clock=SystemClock())
    with registry.connection(autocommit=True) as connection:
        open_now = "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        async with asyncio.timeout(10):
            while connection.execute(open_now).fetchone() != (0,):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_settlement_finds_its_calls_by_keys_whatever_the_planner_knows(registry) -> None:
    with registry.connection(autocommit=True) as connection:
        connection.execute(GROUPS_BY_KEYS)
        plan = "\n".join(
            line
            for (line,) in connection.execute(
                f"EXPLAIN {SETTLE}", {"rows": "[]", "keys": [b"key"], "run": 1, "worker": 1}
            )
        )
    assert "Index Cond: (key = ANY" in plan
    assert "ix_calls" not in plan
