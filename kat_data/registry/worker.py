"""A worker's life in the registry.

It registers, claims items, commits what stages made of them, and gives back the rest.
"""

import asyncio
import logging
import os
import socket
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any

import orjson
import psycopg

from kat_data.clock import Clock
from kat_data.domain.draft import Draft
from kat_data.domain.states import ItemState
from kat_data.domain.text import storable
from kat_data.errors import LeaseLost, WorkerLost
from kat_data.logs import note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.redaction import redact
from kat_data.registry import claims
from kat_data.registry.budgets import TAKEN_FOR_DEAD
from kat_data.registry.claims import commit_statement
from kat_data.registry.drafts import load_drafts
from kat_data.registry.facts import Row
from kat_data.registry.group_commit import GroupCommit
from kat_data.registry.session import Registry

_log = logging.getLogger(__name__)

COMMIT_LINGER = 0.01  # no call waits for a step's commit, and larger groups cost less


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One leased item: where it stands, and its draft."""

    run: int
    query: int
    turn: int
    stage: str
    attempts: int
    lease_token: int
    draft: Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one stage: its time, its outcome (`done`, `dropped`, `held`, `failed`) and the calls it made."""

    stage: str
    started_at: datetime
    seconds: float
    outcome: str
    calls: tuple[str, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where an item goes after an attempt.

    `keep` holds the lease for the next stage, `delay` is a backoff in seconds; a pool or a number of responses that is
    none stays as it was.
    """

    stage: str
    turn: int
    state: ItemState = ItemState.READY
    attempts: int = 0
    keep: bool = False
    delay: float = 0.0
    reason: str | None = None
    detail: str | None = None
    pool: str | None = None
    responses: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One attempt's outputs and the item's move, to be committed together.

    `samples` are the rows of accepted samples.
    """

    claim: Claim
    attempt: Attempt
    move: Move
    facts: dict[str, list[Row]] = field(default_factory=dict)
    samples: tuple[Row, ...] = ()


class Worker:
    """One process's part in one run. `async with await Worker.start(registry, clock, run=1)`.

    It lives as long as its `session`, which holds its lock, and as it says so: `LEASE_SECONDS` without a heartbeat, and
    others take it for dead. Leaving it gives back what it still holds.
    """

    def __init__(
        self,
        ident: int,
        session: psycopg.AsyncConnection[Any],
        claiming: psycopg.AsyncConnection[Any],
        writing: psycopg.AsyncConnection[Any],
        clock: Clock,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self.id = ident
        self._session = session
        self._claims = claiming
        self._writes = writing
        self._clock = clock
        self._steps: GroupCommit[Step, bool] = GroupCommit(
            self._commit, linger=COMMIT_LINGER, told=partial(observer.committed, "steps")
        )
        self._claiming = asyncio.Lock()
        self._heartbeat = asyncio.create_task(self._renew())

    @classmethod
    async def start(
        cls, registry: Registry, clock: Clock, observer: Observer = UNOBSERVED, *, run: int | None = None
    ) -> "Worker":
        """Register, take the worker's lock, and free what dead workers held."""
        async with AsyncExitStack() as opened:
            session, claiming, writing = [
                await opened.enter_async_context(await registry.async_connection(autocommit=True)) for _ in range(3)
            ]
            await session.execute(claims.SESSION_SETTINGS)
            # A claim that a crash of the server takes along is claimed again: no fsync is due.
            await claiming.execute(f"SET synchronous_commit = off; {claims.BY_KEYS}")
            await writing.execute(claims.GROUPS_BY_KEYS)
            named: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "run": run}
            cursor = await session.execute(claims.REGISTER_WORKER, named)
            row = await cursor.fetchone()
            assert row is not None
            await session.execute(claims.HOLD_WORKER_LOCK, {"worker": row[0]})
            freed = await session.execute(claims.FREE_DEAD)
            opened.pop_all()
        note(_log, logging.INFO, "worker.started", worker=row[0], **named)
        _note_freed(freed.rowcount)
        return cls(row[0], session, claiming, writing, clock, observer)

    async def __aenter__(self) -> "Worker":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.cancel()
        await asyncio.gather(self._heartbeat, return_exceptions=True)
        await self._steps.drain()
        with suppress(psycopg.OperationalError):  # with the session, a lost server ends the hold on the items, too
            await self._session.execute(claims.GIVE_BACK, {"worker": self.id})
        for connection in (self._writes, self._claims, self._session):
            await connection.close()
        note(_log, logging.INFO, "worker.ended", worker=self.id)

    async def claim(self, run: int, limit: int, stages: Sequence[str]) -> list[Claim]:
        """Lease at most `limit` items of the run, of the first of the `stages` that have any; return their drafts, too.

        Raises `WorkerLost` where the heartbeat has ended: others take this worker for dead.
        """
        if self._heartbeat.done():
            await self._claims.execute("SELECT")  # where the server is lost, that is what is to be said
            raise WorkerLost(TAKEN_FOR_DEAD.format(worker=self.id)) from self._heartbeat.exception()
        async with self._claiming:
            asked = {"run": run, "limit": limit, "worker": self.id, "stages": list(stages)}
            cursor = await self._claims.execute(claims.CLAIM, asked)
            rows = await cursor.fetchall()
            fresh = [row[0] for row in rows if row[4] == 1]  # the first lease ever: nothing is stored yet
            begun = {row[0]: row[1] for row in rows if row[4] > 1}
            drafts = await load_drafts(self._claims, run, fresh, begun) if rows else {}
        return [
            Claim(
                run=run,
                query=query,
                turn=turn,
                stage=stage,
                attempts=attempts,
                lease_token=token,
                draft=drafts[query] if responses == 1 else replace(drafts[query], responses=responses),
            )
            for query, turn, stage, attempts, token, responses in rows
        ]

    async def commit(self, step: Step) -> None:
        """Write the step's outputs and move its item, both or neither.

        Raises `LeaseLost` where another worker has it.
        """
        if not await self._steps.submit(step):
            raise LeaseLost(f"query {step.claim.query} of run {step.claim.run} went to another worker")

    async def waiting(self, run: int, stages: Sequence[str]) -> tuple[bool, float | None]:
        """Free what dead workers held; return whether an item is unfinished, and in how many seconds one is free.

        The time is of items at one of the `stages`, and none where there are none.
        """
        async with self._claiming:
            _note_freed((await self._claims.execute(claims.FREE_DEAD)).rowcount)
            cursor = await self._claims.execute(claims.NEXT_AVAILABLE, {"run": run, "stages": list(stages)})
            row = await cursor.fetchone()
        assert row is not None
        return row[0], row[1]

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(claims.LEASE_SECONDS / 6)
            await self._session.execute(claims.RENEW, {"worker": self.id})

    async def _commit(self, steps: Sequence[Step]) -> list[bool]:
        """Move the items and write what belongs to those that were still ours, in one statement and so atomically."""
        rows: dict[str, list[Row]] = defaultdict(list)
        for step in steps:
            rows["stage_attempts"].append(self._attempt(step))
            for table, facts in step.facts.items():
                rows[table] += facts
            if step.samples:
                rows["samples"] += step.samples
        statement = commit_statement(frozenset(rows))
        moves = _json([_move(step) for step in steps])
        queries = [step.claim.query for step in steps]
        values = {"worker": self.id, "queries": queries, "moves": moves} | {
            name: _json(found) for name, found in rows.items()
        }
        cursor = await self._writes.execute(statement, values)
        moved = {(run, query) async for run, query in cursor}
        return [(step.claim.run, step.claim.query) in moved for step in steps]

    def _attempt(self, step: Step) -> Row:
        attempt = step.attempt
        return {
            "run_id": step.claim.run,
            "query_id": step.claim.query,
            "turn": step.claim.turn,
            "stage": attempt.stage,
            "worker_id": self.id,
            "started_at": attempt.started_at,
            "seconds": attempt.seconds,
            "outcome": attempt.outcome,
            "error": attempt.error and storable(redact(attempt.error)),
            "calls": ["\\x" + call for call in attempt.calls],
        }


def _note_freed(items: int) -> None:
    if items:
        note(_log, logging.WARNING, "leases.freed", items=items, reason="their workers are dead")


def _move(step: Step) -> Row:
    move = step.move
    return {
        "run_id": step.claim.run,
        "query_id": step.claim.query,
        "lease_token": step.claim.lease_token,
        "stage_before": step.claim.stage,
        "turn": move.turn,
        "stage": move.stage,
        "state": move.state,
        "attempts": move.attempts,
        "reason": move.reason,
        "detail": move.detail and storable(redact(move.detail)),
        "pool": move.pool,
        "responses": move.responses,
        "keep": move.keep,
        "delay": move.delay,
    }


def _json(rows: Sequence[Row]) -> str:
    return orjson.dumps(rows).decode()
