"""The ledger in Postgres.

Reserve a key before its call is sent, store the reply before anyone uses it (architecture §6).
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import psycopg

from kat_data.clock import Clock
from kat_data.domain.call import CallRequest, Charge, Reply
from kat_data.domain.codec import from_python
from kat_data.errors import LeaseLost
from kat_data.registry.claims import ALIVE_WORKERS
from kat_data.registry.group_commit import GroupCommit
from kat_data.registry.session import Registry

# A failed key, or one whose worker died over it, goes to the next caller; the dead worker's estimate stays charged. So
# does a worker's own key: it asks for one key once at a time, so its settlement has failed. The order keeps two workers
# that ask for the same keys from locking each other out.
RESERVE = f"""
    INSERT INTO calls (key, model, revision, state, request, usd, tokens, recorded, run_id, worker_id)
    SELECT key, model, revision, 'reserved', request, usd, tokens, recorded, run_id, worker_id
    FROM json_populate_recordset(NULL::calls, %(rows)s)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        state = 'reserved', error = NULL, recorded = excluded.recorded,
        lost_usd = calls.lost_usd + CASE WHEN calls.state = 'reserved' THEN calls.usd ELSE 0 END,
        lost_tokens = calls.lost_tokens + CASE WHEN calls.state = 'reserved' THEN calls.tokens ELSE 0 END,
        usd = excluded.usd, tokens = excluded.tokens, run_id = excluded.run_id, worker_id = excluded.worker_id
    WHERE calls.state = 'failed' OR (calls.state = 'reserved'
        AND (calls.worker_id = excluded.worker_id OR calls.worker_id NOT IN ({ALIVE_WORKERS})))
    RETURNING key
"""

LOOK_UP = "SELECT key, state, reply FROM calls WHERE key = ANY(%(keys)s)"

SETTLE = """
    UPDATE calls SET state = new.state, reply = new.reply, finish_reason = new.finish_reason, usd = new.usd,
        tokens = new.tokens, lost_usd = calls.lost_usd + new.lost_usd,
        lost_tokens = calls.lost_tokens + new.lost_tokens,
        seconds = new.seconds, error = new.error, settled_at = now()
    FROM json_populate_recordset(NULL::calls, %(rows)s) AS new
    WHERE calls.key = new.key AND calls.state = 'reserved' AND calls.worker_id = new.worker_id
    RETURNING calls.key
"""

SPENT = """
    SELECT coalesce(sum(usd + lost_usd), 0)::double precision, coalesce(sum(tokens + lost_tokens), 0)::bigint
    FROM calls WHERE run_id = %(run)s
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
    ) -> None:
        self._reserving = reserving
        self._settling = settling
        self._run = run
        self._worker = worker
        self._clock = clock
        self._recorded = recorded
        self._lock = asyncio.Lock()
        self._reservations: GroupCommit[dict[str, Any], Reply | bool] = GroupCommit(self._reserve)
        self._settlements: GroupCommit[dict[str, Any], bool] = GroupCommit(self._settle)

    @classmethod
    async def open(
        cls, registry: Registry, *, run: int, worker: int, clock: Clock, recorded: bool = False
    ) -> "PostgresLedger":
        """Open the ledger on connections of its own; `close` closes them."""
        reserving = await registry.async_connection(autocommit=True)
        # A reservation lost in a crash of the server costs at most the call in flight: no fsync is due.
        await reserving.execute("SET synchronous_commit = off")
        settling = await registry.async_connection(autocommit=True)
        return cls(reserving, settling, run=run, worker=worker, clock=clock, recorded=recorded)

    async def spent(self) -> Charge:
        """Return what this run has been charged so far."""
        async with self._lock:
            cursor = await self._reserving.execute(SPENT, {"run": self._run})
            row = await cursor.fetchone()
        assert row is not None
        return Charge(usd=row[0], tokens=row[1])

    async def reserve(self, request: CallRequest, estimate: Charge) -> Reply | None:
        """Return the stored reply, or none: the caller now owns the key and must settle or release it."""
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
        wait = 0.05
        while True:
            answer = await self._reservations.submit(row)
            if isinstance(answer, Reply):
                return answer
            if answer:
                return None
            await self._clock.sleep(wait)  # another live worker is asking: its reply comes, or its lock goes
            wait = min(2 * wait, 2.0)

    async def settle(
        self, request: CallRequest, reply: Reply, charge: Charge, seconds: float, lost: Charge = _NOTHING
    ) -> None:
        """Store the reply, what it cost, and what tries before it may have cost.

        Raises `LeaseLost` where the key went to another worker meanwhile: that worker's reply stands.
        """
        row = {
            **self._settled(request, "done", lost),
            "reply": reply,
            "finish_reason": reply.finish_reason,
            "usd": charge.usd,
            "tokens": charge.tokens,
            "seconds": seconds,
        }
        if not await self._settlements.submit(row):
            raise LeaseLost(f"call {request.key.hex()[:12]} went to another worker, whose reply stands")

    async def release(self, request: CallRequest, error: str, lost: Charge = _NOTHING) -> None:
        """Free a key that got no reply; what was lost over it stays charged."""
        nothing = {"usd": 0.0, "tokens": 0}
        await self._settlements.submit({**self._settled(request, "failed", lost), **nothing, "error": error})

    async def close(self) -> None:
        """Wait until every settlement is committed, and close the connections."""
        await self._reservations.drain()
        await self._settlements.drain()
        await self._reserving.close()
        await self._settling.close()

    def _settled(self, request: CallRequest, state: str, lost: Charge) -> dict[str, Any]:
        key = {"key": _hex(request.key), "worker_id": self._worker}
        return {**key, "state": state, "lost_usd": lost.usd, "lost_tokens": lost.tokens}

    async def _reserve(self, rows: Sequence[dict[str, Any]]) -> list[Reply | bool]:
        keys = [bytes.fromhex(row["key"][2:]) for row in rows]
        async with self._lock:
            cursor = await self._reserving.execute(RESERVE, {"rows": _json(rows)})
            granted = {row[0] async for row in cursor}
            known: dict[bytes, Reply] = {}
            if len(granted) < len(keys):
                cursor = await self._reserving.execute(LOOK_UP, {"keys": [key for key in keys if key not in granted]})
                known = {key: from_python(Reply, reply) async for key, state, reply in cursor if state == "done"}
        return [known.get(key) or key in granted for key in keys]

    async def _settle(self, rows: Sequence[dict[str, Any]]) -> list[bool]:
        cursor = await self._settling.execute(SETTLE, {"rows": _json(rows)})
        settled = {_hex(key) async for (key,) in cursor}
        return [row["key"] in settled for row in rows]


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _hex(key: bytes) -> str:
    return "\\x" + key.hex()
