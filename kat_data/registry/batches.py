"""Batches beyond the life of a worker: noted before they are handed in, taken over when their worker dies."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import orjson
import psycopg

from kat_data.domain.batch import Batch, BatchRow, BatchStatus
from kat_data.domain.call import CallRequest, Charge, Price, Reply
from kat_data.domain.codec import from_python
from kat_data.errors import EndpointDown, RunStopped
from kat_data.registry.budgets import BATCHES, FREE_DEAD_CALLS
from kat_data.registry.claims import ALIVE_WORKERS
from kat_data.registry.session import Registry

# Where the worker has lost a key meanwhile, another pays for it, and it must not go with the batch. The slice comes
# first, as in the ledger: who has lost it has lost all its keys.
OPEN = """
    WITH slice AS MATERIALIZED (
        SELECT FROM budget_slices WHERE run_id = %(run)s AND worker_id = %(worker)s FOR KEY SHARE
    ), batch AS (
        INSERT INTO batches (token, place, endpoint, model, price, state, rows, run_id, worker_id, created_at)
        VALUES (%(token)s, %(place)s, %(endpoint)s, %(model)s, %(price)s, 'submitting', %(size)s, %(run)s, %(worker)s,
            %(created_at)s)
        RETURNING id
    ), held AS (
        UPDATE calls SET batch_id = batch.id, usd = given.usd, tokens = given.tokens
        FROM batch, json_to_recordset(%(rows)s) AS given(key bytea, usd double precision, tokens bigint)
        WHERE calls.key = given.key AND calls.state = 'reserved' AND calls.worker_id = %(worker)s
            AND EXISTS (SELECT FROM slice)
        RETURNING calls.key
    )
    SELECT batch.id, held.key FROM batch LEFT JOIN held ON true
"""

SUBMITTED = """
    UPDATE batches SET state = 'submitted', provider_id = %(ident)s, expires_at = %(expires_at)s, submitted_at = now()
    WHERE id = %(batch)s AND worker_id = %(worker)s
"""

PROGRESSED = "UPDATE batches SET done = %(done)s WHERE id = %(batch)s AND worker_id = %(worker)s"

# What was held for it beyond its worker's slice is free.
END = f"""
    WITH ended AS (
        UPDATE batches SET state = 'ended', outcome = %(outcome)s, ended_at = now()
        WHERE id = %(batch)s AND worker_id = %(worker)s AND state <> 'ended'
        RETURNING run_id, held_usd, held_tokens
    )
    UPDATE budget_slices SET granted_usd = greatest(0, granted_usd - ended.held_usd),
        granted_tokens = greatest(0, granted_tokens - ended.held_tokens)
    FROM ended
    WHERE budget_slices.run_id = ended.run_id AND budget_slices.worker_id = {BATCHES} AND ended.held_usd IS NOT NULL
"""

# A batch is paid by its run, so none but the run's own workers take it over, once what it can cost is held for it.
ADOPT = f"""
    WITH dead AS MATERIALIZED (
        SELECT id FROM batches
        WHERE run_id = %(run)s AND state <> 'ended' AND place = ANY(%(places)s) AND worker_id NOT IN ({ALIVE_WORKERS})
            AND (run_id, worker_id) NOT IN (SELECT run_id, worker_id FROM budget_slices)
        FOR UPDATE SKIP LOCKED
    ), held AS (
        UPDATE calls SET worker_id = %(worker)s FROM dead
        WHERE calls.batch_id = dead.id AND calls.state = 'reserved'
    )
    UPDATE batches SET worker_id = %(worker)s FROM dead WHERE batches.id = dead.id
    RETURNING batches.id, token, place, price, created_at, rows, provider_id
"""

ROWS = """
    SELECT batch_id, request, usd, tokens FROM calls
    WHERE batch_id = ANY(%(batches)s) AND state = 'reserved' AND worker_id = %(worker)s
"""

KNOWN = "SELECT provider_id FROM batches WHERE place = %(place)s AND provider_id IS NOT NULL"

LOOK_UP = f"""
    SELECT calls.key, calls.state, calls.reply, batches.id, batches.place, batches.run_id,
        batches.worker_id NOT IN ({ALIVE_WORKERS})
    FROM calls LEFT JOIN batches ON batches.id = calls.batch_id
    WHERE calls.key = ANY(%(keys)s)
"""


class PostgresBook:
    """One worker's door to the batches; satisfies `llm.batch.BatchBook`. Its connection opens with its first use."""

    def __init__(self, registry: Registry, *, run: int, worker: int) -> None:
        self._registry = registry
        self._run = run
        self._worker = worker
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    async def open(self, batch: Batch) -> tuple[int, set[bytes]]:
        """Note a batch and what its calls can cost, on disk before it is handed in."""
        rows = [{"key": f"\\x{row.request.key.hex()}", **asdict(row.estimate)} for row in batch.rows]
        values = {
            "token": batch.token,
            "place": batch.place,
            "endpoint": batch.endpoint,
            "model": batch.rows[0].request.model,
            "price": orjson.dumps(batch.price).decode(),
            "size": batch.size,
            "rows": orjson.dumps(rows).decode(),
            "created_at": batch.created_at,
        }
        found = await self._execute(OPEN, **values)
        return found[0][0], {row.request.key for row in batch.rows} - {key for _, key in found}

    async def submitted(self, batch: int, status: BatchStatus) -> None:
        await self._execute(SUBMITTED, batch=batch, ident=status.ident, expires_at=status.expires_at)

    async def progressed(self, batch: int, done: int) -> None:
        await self._execute(PROGRESSED, batch=batch, done=done)

    async def ended(self, batch: int, word: str) -> None:
        await self._execute(END, batch=batch, outcome=word)

    async def adopt(self, places: Mapping[str, str]) -> list[Batch]:
        """Take over what dead workers handed in at these places, with the calls that have no reply yet."""
        await self._execute(FREE_DEAD_CALLS)
        found = await self._execute(ADOPT, places=list(places))
        rows: defaultdict[int, list[BatchRow]] = defaultdict(list)
        if found:
            for batch, plain, usd, tokens in await self._execute(ROWS, batches=[row[0] for row in found]):
                estimate = Charge(usd=usd, tokens=tokens)
                rows[batch].append(BatchRow(request=from_python(CallRequest, plain), estimate=estimate))
        return [
            Batch(
                id=ident,
                token=token,
                endpoint=places[place],
                place=place,
                price=from_python(Price, price),
                created_at=created_at,
                size=size,
                rows=tuple(rows[ident]),
                ident=provider_id,
            )
            for ident, token, place, price, created_at, size, provider_id in found
        ]

    async def known(self, place: str) -> set[str]:
        return {row[0] for row in await self._execute(KNOWN, place=place)}

    async def look_up(self, keys: Collection[bytes]) -> Mapping[bytes, Reply | RunStopped | None]:
        outcomes: dict[bytes, Reply | RunStopped | None] = {}
        for key, state, reply, batch, place, run, orphaned in await self._execute(LOOK_UP, keys=list(keys)):
            if state == "done":
                outcomes[key] = from_python(Reply, reply)
            elif state == "failed" or batch is None:
                outcomes[key] = None
            elif orphaned:
                outcomes[key] = EndpointDown(
                    f"a call is on its way in batch {batch} at {place}, which no process fetches: "
                    f"resume run {run} with this endpoint in its recipe"
                )
        return outcomes

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _execute(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self._lock:
            if self._connection is None:
                self._connection = await self._registry.async_connection(autocommit=True)
            cursor = await self._connection.execute(statement, {"run": self._run, "worker": self._worker, **values})
            return await cursor.fetchall() if cursor.description else []
