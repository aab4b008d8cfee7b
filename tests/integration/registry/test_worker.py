"""Workers claim items, commit what became of them, and lose nothing and no one's item when they die."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from kat_data.clock import SystemClock
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin, Vote
from kat_data.domain.states import ItemState
from kat_data.errors import LeaseLost, WorkerLost
from kat_data.hashing import content_hash
from kat_data.registry.claims import GROUPS_BY_KEYS, commit_statement
from kat_data.registry.facts import new_facts
from kat_data.registry.session import Registry
from kat_data.registry.worker import Attempt, Claim, Move, Step, Worker
from kat_data.testing import a_candidate, a_draft, a_query, a_sample, a_verdict

pytestmark = pytest.mark.integration

CALL = "ab" * 32
STAGES = ("judge_mode", "third", "second", "first")


@pytest.fixture
async def start(registry: Registry) -> AsyncIterator[Callable[[], Any]]:
    """Starts workers that leave when the test ends."""
    async with asyncio.timeout(60):
        workers: list[Worker] = []

        async def start_() -> Worker:
            workers.append(await Worker.start(registry, SystemClock()))
            return await workers[-1].__aenter__()

        yield start_
        for worker in workers:
            await worker.__aexit__(None, None, None)


def attempt(outcome: str = "done") -> Attempt:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    return Attempt(stage="first", started_at=started, seconds=0.5, outcome=outcome, calls=(CALL,))


def step(
    claim: Claim, *, stage: str = "second", samples: tuple[Any, ...] = (), vote: str | None = None, **move: Any
) -> Step:
    """A step to `stage`, with one vote of the given reason."""
    votes = () if vote is None else (Vote(model="small", mode=Mode.ON, reason=vote, call=CALL),)
    choice = None if vote is None else ModeChoice(mode=Mode.ON, origin=ModeOrigin.MAJORITY, margin=1.0)
    facts = new_facts((claim.run, claim.query), claim.draft, a_draft(claim.draft.query, votes=votes, choice=choice))
    moved = Move(**{"stage": stage, "turn": claim.turn} | move)
    return Step(claim=claim, attempt=attempt(), move=moved, facts=facts, samples=samples)


def rows(registry: Registry, sql: str) -> list[tuple[Any, ...]]:
    with registry.connection(autocommit=True) as connection:
        return connection.execute(sql).fetchall()


def expire_leases(registry: Registry) -> None:
    with registry.connection(autocommit=True) as connection:
        connection.execute("UPDATE work_items SET available_at = now() - interval '1 second'")


async def test_claims_come_with_their_drafts_until_none_is_left(start, open_run) -> None:
    worker, run = await start(), open_run(sums=3)
    first, second, third = (
        await worker.claim(run.id, 2, STAGES),
        await worker.claim(run.id, 2, STAGES),
        await worker.claim(run.id, 2, STAGES),
    )
    assert (len(first), len(second), third) == (2, 1, [])
    claims = first + second
    assert {claim.draft.user_text for claim in claims} == {"What is 0 + 1?", "What is 1 + 1?", "What is 2 + 1?"}
    assert {(claim.stage, claim.turn, claim.attempts, claim.lease_token) for claim in claims} == {("first", 0, 0, 1)}


async def test_two_workers_never_get_one_item(start, open_run) -> None:
    run, workers = open_run(sums=60), [await start() for _ in range(4)]
    claimed = await asyncio.gather(*(worker.claim(run.id, 4, STAGES) for _ in range(4) for worker in workers))
    queries = [claim.query for claims in claimed for claim in claims]
    assert len(queries) == len(set(queries)) == 60


async def test_a_commit_writes_the_outputs_and_moves_the_item(registry, start, open_run) -> None:
    worker, run = await start(), open_run(sums=1)
    [claim] = await worker.claim(run.id, 1, STAGES)
    sample = a_sample()
    row = {
        "hash": "\\x" + content_hash(sample).hex(),
        "run_id": run.id,
        "query_id": claim.query,
        "number": 0,
        "mode": sample.mode,
        "sample": sample,
        "lineage": "\\x" + "cd" * 32,
    }
    await worker.commit(step(claim, state=ItemState.ACCEPTED, samples=(row,), vote="It needs steps."))
    assert rows(registry, "SELECT stage, state, worker_id FROM work_items") == [("second", "accepted", None)]
    assert rows(registry, "SELECT model, mode, reason, call FROM votes") == [
        ("small", "think_on", "It needs steps.", bytes.fromhex(CALL))
    ]
    assert rows(registry, "SELECT mode, origin, margin FROM turns") == [("think_on", "majority", 1.0)]
    assert rows(registry, "SELECT stage, outcome, calls, worker_id FROM stage_attempts") == [
        ("first", "done", [bytes.fromhex(CALL)], worker.id)
    ]
    assert rows(registry, "SELECT hash, mode, lineage FROM samples") == [
        (content_hash(sample), "think_off", b"\xcd" * 32)
    ]


async def test_a_stale_lease_writes_nothing(registry, start, open_run) -> None:
    slow, quick, run = await start(), await start(), open_run(sums=1)
    [stale] = await slow.claim(run.id, 1, STAGES)
    expire_leases(registry)
    [fresh] = await quick.claim(run.id, 1, STAGES)
    with pytest.raises(LeaseLost, match=f"query {stale.query} of run {run.id}"):
        await slow.commit(step(stale, vote="too late"))
    assert (
        rows(registry, "SELECT 1 FROM votes UNION ALL SELECT 1 FROM turns UNION ALL SELECT 1 FROM stage_attempts") == []
    )
    await quick.commit(step(fresh, vote="in time"))
    with pytest.raises(LeaseLost):
        await slow.commit(step(stale, vote="too late"))
    assert rows(registry, "SELECT reason FROM votes") == [("in time",)]


async def test_a_worker_that_was_silent_for_a_lease_writes_nothing(registry, start, open_run) -> None:
    """Neither its lock nor that nobody has its item yet helps it: the others take it for dead."""
    silent, other, run = await start(), await start(), open_run(sums=1)
    [stale] = await silent.claim(run.id, 1, STAGES)
    with registry.connection(autocommit=True) as connection:
        connection.execute("UPDATE workers SET seen_at = now() - interval '61 seconds' WHERE id = %s", [silent.id])
    assert await other.waiting(run.id, STAGES) == (True, 0.0)
    with pytest.raises(LeaseLost):
        await silent.commit(step(stale, vote="too late"))
    [fresh] = await other.claim(run.id, 1, STAGES)
    await other.commit(step(fresh, vote="in time"))
    assert rows(registry, "SELECT reason FROM votes") == [("in time",)]


async def test_a_worker_never_gets_twice_what_it_still_holds(registry, start, open_run) -> None:
    worker, run = await start(), open_run(sums=1)
    [claim] = await worker.claim(run.id, 1, STAGES)
    expire_leases(registry)
    assert await worker.claim(run.id, 1, STAGES) == []
    await worker.commit(step(claim))
    assert len(await worker.claim(run.id, 1, STAGES)) == 1


async def test_a_kept_lease_goes_on_under_the_same_token(start, open_run) -> None:
    worker, other, run = await start(), await start(), open_run(sums=1)
    [claim] = await worker.claim(run.id, 1, STAGES)
    await worker.commit(step(claim, keep=True))
    assert await other.claim(run.id, 1, STAGES) == []
    await worker.commit(step(claim, stage="third"))
    [taken] = await other.claim(run.id, 1, STAGES)
    assert (taken.stage, taken.lease_token) == ("third", 2)


async def test_a_live_workers_items_stay_its_own(start, open_run) -> None:
    worker, run = await start(), open_run(sums=2)
    assert len(await worker.claim(run.id, 2, STAGES)) == 2
    newcomer = await start()
    assert await newcomer.claim(run.id, 2, STAGES) == []
    unfinished, seconds = await newcomer.waiting(run.id, STAGES)
    assert unfinished
    assert 30 < seconds <= 60


CLAIM_AND_HANG = """
import asyncio, sys
from kat_data.clock import SystemClock
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker

async def main():
    worker = await Worker.start(Registry(sys.argv[1]), SystemClock())
    print(len(await worker.claim(int(sys.argv[2]), 10, ["first"])), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def a_killed_worker(registry: Registry, run: int) -> int:
    """Have a process claim ten items, kill it, and return how many it held."""
    command = [sys.executable, "-c", CLAIM_AND_HANG, registry.url, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        held = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    return held


async def test_a_killed_workers_items_are_free_at_once(start, registry, open_run) -> None:
    run, survivor = open_run(sums=3), await start()
    assert a_killed_worker(registry, run.id) == 3
    newcomer, claimed = await start(), []
    while not claimed:  # until the server has seen the connection close
        await newcomer.waiting(run.id, STAGES)
        claimed = await newcomer.claim(run.id, 10, STAGES)
    assert {claim.lease_token for claim in claimed} == {3}  # one to be claimed, one to be freed, one to be claimed
    assert len(claimed) == 3
    assert await survivor.claim(run.id, 10, STAGES) == []


async def test_leaving_gives_back(registry, start, open_run) -> None:
    run, other = open_run(sums=2), await start()
    async with await Worker.start(registry, SystemClock()) as leaver:
        [claim] = await leaver.claim(run.id, 1, STAGES)
    [again] = [found for found in await other.claim(run.id, 2, STAGES) if found.query == claim.query]
    assert (again.lease_token, again.attempts) == (2, 0)


async def test_leaving_is_quiet_where_the_server_has_closed_the_connections(registry, open_run) -> None:
    run = open_run(sums=1)
    async with await Worker.start(registry, SystemClock()) as worker:
        await worker.claim(run.id, 1, STAGES)
        rows(
            registry,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database()",
        )


class Beats(SystemClock):
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        self.sleeping: asyncio.Queue[float] = asyncio.Queue()
        self._wake: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.sleeping.put_nowait(seconds)
        await self._wake.get()

    def wake(self) -> None:
        self._wake.put_nowait(None)


async def test_a_heartbeat_renews_every_lease(registry, start, open_run) -> None:
    run, clock = open_run(sums=2), Beats()
    async with asyncio.timeout(30), await Worker.start(registry, clock) as worker:
        await worker.claim(run.id, 2, STAGES)
        assert await clock.sleeping.get() == 10
        expire_leases(registry)
        clock.wake()
        assert await clock.sleeping.get() == 10
        assert await (await start()).claim(run.id, 2, STAGES) == []


async def test_a_heartbeat_does_not_wait_for_a_step(registry, start, open_run) -> None:
    run, clock = open_run(sums=2), Beats()
    async with asyncio.timeout(30), await Worker.start(registry, clock) as worker:
        [moving, _resting] = await worker.claim(run.id, 2, STAGES)
        expire_leases(registry)
        with registry.connection() as step_under_way:
            step_under_way.execute("SELECT FROM work_items WHERE query_id = %s FOR UPDATE", [moving.query])
            await clock.sleeping.get()
            clock.wake()
            await clock.sleeping.get()
        [taken] = await (await start()).claim(run.id, 2, STAGES)
        assert taken.query == moving.query


async def test_a_worker_whose_session_is_lost_takes_no_more_items(registry, open_run) -> None:
    run, clock = open_run(sums=2), Beats()
    async with asyncio.timeout(30), await Worker.start(registry, clock) as worker:
        [claim] = await worker.claim(run.id, 1, STAGES)
        session = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND objid = {worker.id}"
        rows(registry, f"SELECT pg_terminate_backend(pid, 5000) FROM ({session}) AS session")
        clock.wake()
        await asyncio.wait({worker._heartbeat})
        await worker.commit(step(claim))  # its lease has not gone to anyone yet
        with pytest.raises(WorkerLost, match="others have its work"):
            await worker.claim(run.id, 1, STAGES)


async def test_a_backoff_is_waited_for(registry, start, open_run) -> None:
    worker, run = await start(), open_run(sums=1)
    [claim] = await worker.claim(run.id, 1, STAGES)
    await worker.commit(step(claim, stage="first", attempts=1, delay=40.0, reason="EndpointFault", detail="busy"))
    assert await worker.claim(run.id, 1, STAGES) == []
    unfinished, seconds = await worker.waiting(run.id, STAGES)
    assert unfinished
    assert 20 < seconds <= 40
    expire_leases(registry)
    assert await worker.waiting(run.id, STAGES) == (True, 0.0)
    [again] = await worker.claim(run.id, 1, STAGES)
    assert (again.attempts, again.stage) == (1, "first")
    assert rows(registry, "SELECT reason, detail FROM work_items") == [("EndpointFault", "busy")]


@pytest.mark.parametrize(("bad", "error"), [("not\0fine", psycopg.DataError), ("not\ud800fine", TypeError)])
async def test_a_bad_record_fails_alone(registry, start, open_run, bad, error) -> None:
    worker, run = await start(), open_run(sums=5)
    claims = await worker.claim(run.id, 5, STAGES)
    reasons = ["fine", bad, "fine", "fine", "fine"]
    steps = [step(claim, vote=reason) for claim, reason in zip(claims, reasons, strict=True)]
    ends = await asyncio.gather(*map(worker.commit, steps), return_exceptions=True)
    assert [type(end) for end in ends].count(type(None)) == 4
    assert isinstance(ends[1], error)
    assert rows(registry, "SELECT reason FROM votes") == [("fine",)] * 4
    assert rows(registry, "SELECT query_id FROM work_items WHERE stage = 'first'") == [(claims[1].query,)]
    assert rows(registry, f"SELECT 1 FROM stage_attempts WHERE query_id = {claims[1].query}") == []


async def test_outputs_and_move_are_one(registry, start, open_run) -> None:
    worker, run = await start(), open_run(sums=1)
    [claim] = await worker.claim(run.id, 1, STAGES)
    good = step(claim, vote="once")
    twice = Step(
        claim=claim, attempt=good.attempt, move=good.move, facts={**good.facts, "votes": good.facts["votes"] * 2}
    )
    with pytest.raises(psycopg.IntegrityError):
        await worker.commit(twice)
    assert rows(registry, "SELECT stage, lease_token FROM work_items") == [("first", 1)]
    assert (
        rows(registry, "SELECT 1 FROM votes UNION ALL SELECT 1 FROM turns UNION ALL SELECT 1 FROM stage_attempts") == []
    )
    await worker.commit(good)
    assert rows(registry, "SELECT stage FROM work_items") == [("second",)]


async def test_a_draft_comes_back_in_the_turn_where_its_item_stands(start, open_run) -> None:
    query = a_query("How much is 1 + 1?", "2", "And one more?", reference="3")
    worker, run = await start(), open_run(query)
    [claim] = await worker.claim(run.id, 1, STAGES)
    answered = a_draft(
        claim.draft.query,
        choice=ModeChoice(mode=Mode.OFF, origin=ModeOrigin.ROUTE),
        candidates=(a_candidate("2", verdicts=(a_verdict(),)),),
        accepted=0,
    )
    facts = new_facts((run.id, claim.query), claim.draft, answered)
    same_turn = Step(claim=claim, attempt=attempt(), move=Move(stage="judge_mode", turn=0), facts=facts)
    await worker.commit(same_turn)
    [claim] = await worker.claim(run.id, 1, STAGES)
    assert claim.draft == answered

    judged = a_draft(
        claim.draft.query,
        choice=answered.choice,
        candidates=answered.candidates,
        accepted=0,
        judge_analysis="A plain sum.",
    )
    facts = new_facts((run.id, claim.query), claim.draft, judged)
    await worker.commit(Step(claim=claim, attempt=attempt(), move=Move(stage="first", turn=1), facts=facts))
    [claim] = await worker.claim(run.id, 1, STAGES)
    assert claim.draft == judged.finish_turn()
    assert claim.draft.user_text == "And one more?"


async def test_a_commit_finds_its_items_by_keys_whatever_the_planner_knows(registry, open_run) -> None:
    open_run(sums=50)  # a table without statistics, in which reading all that is ready looks cheap
    values = {"worker": 1, "moves": "[]", "queries": [1], "stage_attempts": "[]"}
    with registry.connection(autocommit=True) as connection:
        connection.execute(GROUPS_BY_KEYS)
        statement = commit_statement(frozenset({"stage_attempts"}))
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}", values))
    assert "Index Cond: (query_id = ANY" in plan
    assert "Hash Join" in plan
    assert "claimable" not in plan
