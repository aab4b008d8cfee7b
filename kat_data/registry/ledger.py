"""The ledger in Postgres.

Reserve a key before its call is sent, store the reply before anyone uses it (architecture §6).
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import orjson
import psycopg

from kat_data.clock import Clock
from kat_data.domain.batch import InBatch
from kat_data.domain.call import CallRequest, Charge, Reply
from kat_data.domain.codec import from_python
from kat_data.domain.text import storable
from kat_data.errors import LeaseLost, WorkerLost
from kat_data.logs import note
from kat_data.observer import UNOBSERVED, Observer
from kat_data.redaction import redact
from kat_data.registry import tallies
from kat_data.registry.awaited import AwaitedKeys
from kat_data.registry.budgets import END_SLICE, FREE_DEAD_CALLS, HOLDS_SLICE, OPEN_SLICE, TAKEN_FOR_DEAD
from kat_data.registry.claims import BY_KEYS, GROUPS_BY_KEYS
from kat_data.registry.group_commit import GroupCommit
from kat_data.registry.session import Registry

_log = logging.getLogger(__name__)

# A failed key goes to the next caller. The order keeps two workers that ask for the same keys from locking each other
# out. Without a slice of the run's budget nothing is reserved: others take this worker for dead.
RESERVE = """
    WITH held AS MATERIALIZED (
        SELECT FROM budget_slices WHERE run_id = %(run)s AND worker_id = %(worker)s FOR KEY SHARE
    )
    INSERT INTO calls (key, model, revision, state, request, usd, tokens, recorded, run_id, worker_id)
    SELECT key, model, revision, 'reserved', request, usd, tokens, recorded, run_id, worker_id
    FROM json_populate_recordset(NULL::calls, %(rows)s) WHERE EXISTS (SELECT FROM held)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET state = 'reserved', error = NULL, recorded = excluded.recorded,
        usd = excluded.usd, tokens = excluded.tokens, run_id = excluded.run_id, worker_id = excluded.worker_id,
        batch_id = NULL
    WHERE calls.state = 'failed'
    RETURNING key
"""

STILL_ASKED = "SELECT key FROM calls WHERE key = ANY(%(keys)s) AND state = 'reserved' AND batch_id IS NULL"

LOOK_UP = "SELECT key, state, batch_id, reply FROM calls WHERE key = ANY(%(keys)s)"

# The slice comes first, as in `FREE_DEAD_CALLS`: who has lost it settles nothing, and nobody waits for the other.
# `keys` and the state as an expression keep the planner from reading all that were reserved since the last vacuum.
SETTLE = f"""
    WITH new AS MATERIALIZED (SELECT * FROM json_populate_recordset(NULL::calls, %(rows)s)
    ), held AS MATERIALIZED (
        SELECT FROM budget_slices WHERE run_id = %(run)s AND worker_id = %(worker)s FOR NO KEY UPDATE
    ), settled AS (
        UPDATE calls SET state = new.state, reply = new.reply, finish_reason = new.finish_reason, usd = new.usd,
            tokens = new.tokens, lost_usd = calls.lost_usd + new.lost_usd,
            lost_tokens = calls.lost_tokens + new.lost_tokens,
            seconds = new.seconds, error = new.error, settled_at = now()
        FROM new WHERE calls.key = ANY(%(keys)s) AND calls.key = new.key
            AND calls.state || '' = 'reserved' AND calls.worker_id = new.worker_id
            AND EXISTS (SELECT FROM held)
        RETURNING calls.key, calls.run_id, calls.worker_id, calls.recorded, calls.model, calls.finish_reason,
            calls.seconds, new.state, new.usd, new.tokens, new.lost_usd, new.lost_tokens
    ), tallied AS (
        INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count, tokens, usd, seconds)
        SELECT run_id, worker_id, CASE WHEN recorded THEN 'recorded_call' ELSE 'call' END, model,
            coalesce(finish_reason, 'failed'), count(*), sum(tokens), sum(usd), sum(coalesce(seconds, 0))
        FROM settled WHERE state <> 'reserved'
        GROUP BY run_id, worker_id, recorded, model, coalesce(finish_reason, 'failed')
        {tallies.ADD}
    ), paid AS (
        SELECT coalesce(sum(usd) FILTER (WHERE state = 'done'), 0) + sum(lost_usd) AS usd,
            coalesce(sum(tokens) FILTER (WHERE state = 'done'), 0)::bigint + sum(lost_tokens)::bigint AS tokens,
            sum(lost_usd) AS lost_usd, sum(lost_tokens)::bigint AS lost_tokens FROM settled
    ), spent AS (
        UPDATE budget_slices SET spent_usd = spent_usd + paid.usd, spent_tokens = spent_tokens + paid.tokens
        FROM paid WHERE run_id = %(run)s AND worker_id = %(worker)s AND (paid.usd > 0 OR paid.tokens > 0)
    ), lost AS (
        UPDATE runs SET lost_usd = runs.lost_usd + paid.lost_usd, lost_tokens = runs.lost_tokens + paid.lost_tokens
        FROM paid WHERE runs.id = %(run)s AND (paid.lost_usd > 0 OR paid.lost_tokens > 0)
    )
    SELECT key FROM settled
"""

_NOTHING = Charge()


class PostgresLedger:
    """One worker's door to the ledger, for calls that one run pays; satisfies `llm.ledger.Ledger`.

    `recorded` marks calls that a recorded ledger answers: their money is what they would have cost.
    """

    def __init__(
        self,
        reserving: psycopg.AsyncConnection[Any],
        settling: psycopg.AsyncConnection[Any],
        *,
        run: int,
        worker: int,
        clock: Clock,
        recorded: bool = False,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._reserving = reserving
        self._settling = settling
        self._run = run
        self._worker = worker
        self._who = {"run": run, "worker": worker}
        self._recorded = recorded
        self._lock = asyncio.Lock()
        self._asked_elsewhere = AwaitedKeys(self._no_longer_asked, clock)
        self._reservations: GroupCommit[dict[str, Any], Reply | InBatch | bool] = GroupCommit(
            self._reserve, told=partial(observer.committed, "reservations")
        )
        self._settlements: GroupCommit[dict[str, Any], bool] = GroupCommit(
            self._settle, told=partial(observer.committed, "settlements")
        )

    @classmethod
    async def open(
        cls,
        registry: Registry,
        *,
        run: int,
        worker: int,
        clock: Clock,
        recorded: bool = False,
        observer: Observer = UNOBSERVED,
    ) -> "PostgresLedger":
        """Open the ledger on connections of its own, and the worker's slice of the run's budget; `close` closes them.

        What dead workers were asking is free from here on.
        """
        who = {"run": run, "worker": worker}
        async with AsyncExitStack() as opened:
            reserving, settling = [
                await opened.enter_async_context(await registry.async_connection(autocommit=True)) for _ in range(2)
            ]
            # A reservation lost in a crash of the server costs at most the call in flight: no fsync is due.
            await reserving.execute(f"SET synchronous_commit = off; {BY_KEYS}")
            await settling.execute(GROUPS_BY_KEYS)
            await settling.execute(OPEN_SLICE, who)
            _note_freed((await settling.execute(FREE_DEAD_CALLS, who)).rowcount)
            opened.pop_all()
        return cls(reserving, settling, run=run, worker=worker, clock=clock, recorded=recorded, observer=observer)

    async def reserve(self, request: CallRequest, estimate: Charge) -> Reply | InBatch | None:
        """Return the stored reply, or none: the caller now owns the key and must settle or release it.

        Says `InBatch` of a key that is on its way in somebody's batch, without waiting for it. Raises `WorkerLost`
        where this worker holds no slice of the run's budget any more.
        """
        row = {
            "key": _hex(request.key),
            "model": request.model,
            "revision": request.revision,
            "request": request,
            "usd": estimate.usd,
            "tokens": estimate.tokens,
            "recorded": self._recorded,
            "run_id": self._run,
            "worker_id": self._worker,
        }
        while True:
            answer = await self._reservations.submit(row)
            if not isinstance(answer, bool):
                return answer
            if answer:
                return None
            await self._asked_elsewhere.wait(request.key)  # the other worker's reply comes, or it dies

    async def lose(self, request: CallRequest, estimate: Charge) -> None:
        """Charge a try that brought no reply and may have cost `estimate`; the key stays the caller's.

        Raises `LeaseLost` where it went to another worker meanwhile: it was charged then.
        """
        reserved = {"usd": estimate.usd, "tokens": estimate.tokens}
        await self._write(request, {**self._settled(request, "reserved", estimate), **reserved})

    async def settle(self, request: CallRequest, reply: Reply, charge: Charge, seconds: float) -> None:
        """Store the reply and what it cost; one that cannot be stored leaves its charge, and the key free.

        Raises `LeaseLost` where the key went to another worker meanwhile: that worker's reply stands.
        """
        row = {
            **self._settled(request, "done"),
            "reply": reply,
            "finish_reason": reply.finish_reason,
            "usd": charge.usd,
            "tokens": charge.tokens,
            "seconds": seconds,
        }
        try:
            await self._write(request, row)
        except LeaseLost:
            raise
        except Exception as error:  # paid for, and still no reply
            with suppress(LeaseLost, psycopg.OperationalError):  # with the server, the worker and its keys are lost
                await self.lose(request, charge)
                await self.release(request, f"its reply cannot be stored: {error}")
            raise

    async def release(self, request: CallRequest, error: str) -> None:
        """Free a key that got no reply."""
        nothing = {"usd": 0.0, "tokens": 0}
        await self._settlements.submit(
            {**self._settled(request, "failed"), **nothing, "error": storable(redact(error))}
        )

    async def close(self) -> None:
        """Wait until every settlement is committed, give back the slice, and close the connections."""
        await self._asked_elsewhere.close()
        await self._reservations.drain()
        await self._settlements.drain()
        with suppress(psycopg.OperationalError):  # with the server, the worker is lost, and its slice with it
            await self._settling.execute(END_SLICE, self._who)
        await self._reserving.close()
        await self._settling.close()

    async def _no_longer_asked(self, keys: Collection[bytes]) -> set[bytes]:
        """Free what dead workers were asking, and return the keys that nobody asks for any more."""
        _note_freed((await self._settling.execute(FREE_DEAD_CALLS, self._who)).rowcount)
        cursor = await self._settling.execute(HOLDS_SLICE, self._who)
        if await cursor.fetchone() != (True,):
            raise WorkerLost(TAKEN_FOR_DEAD.format(worker=self._worker))
        cursor = await self._settling.execute(STILL_ASKED, {"keys": list(keys)})
        return set(keys) - {key async for (key,) in cursor}

    async def _write(self, request: CallRequest, row: dict[str, Any]) -> None:
        if not await self._settlements.submit(row):
            raise LeaseLost(f"call {request.key.hex()[:12]} went to another worker, whose reply stands")

    def _settled(self, request: CallRequest, state: str, lost: Charge = _NOTHING) -> dict[str, Any]:
        key = {"key": _hex(request.key), "worker_id": self._worker}
        return {**key, "state": state, "lost_usd": lost.usd, "lost_tokens": lost.tokens}

    async def _reserve(self, rows: Sequence[dict[str, Any]]) -> list[Reply | InBatch | bool]:
        keys = [bytes.fromhex(row["key"][2:]) for row in rows]
        async with self._lock:
            cursor = await self._reserving.execute(RESERVE, {"rows": _json(rows), **self._who})
            granted = {row[0] async for row in cursor}
            known: dict[bytes, Reply | InBatch] = {}
            if len(granted) < len(keys):
                cursor = await self._reserving.execute(LOOK_UP, {"keys": [key for key in keys if key not in granted]})
                async for key, state, batch, reply in cursor:
                    if state == "done":
                        known[key] = from_python(Reply, reply)
                    elif state == "reserved" and batch is not None:
                        known[key] = InBatch()
        return [known.get(key, key in granted) for key in keys]

    async def _settle(self, rows: Sequence[dict[str, Any]]) -> list[bool]:
        keys = [bytes.fromhex(row["key"][2:]) for row in rows]
        cursor = await self._settling.execute(SETTLE, {"rows": _json(rows), "keys": keys, **self._who})
        settled = {_hex(key) async for (key,) in cursor}
        return [row["key"] in settled for row in rows]


def _note_freed(calls: int) -> None:
    if calls:
        note(_log, logging.WARNING, "calls.freed", calls=calls, reason="their workers ended before the replies came")


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _hex(key: bytes) -> str:
    return "\\x" + key.hex()
