"""Slices of a run's budget: what its workers hold together never passes its cap.

A slice is opened with the worker's ledger, grows and shrinks here, and is spent by the statements that settle calls.
It ends with its worker: what was spent stays, the rest is free.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from kat_data.domain.budget import Cap, Share
from kat_data.domain.call import Charge
from kat_data.errors import WorkerLost
from kat_data.registry.claims import ALIVE_WORKERS
from kat_data.registry.session import Registry

BATCHES = -1  # the worker of batches whose worker has ended: it is granted what they can cost, and spends nothing
BUDGET_LOCK = 0x4B42  # the class of the budgets' advisory locks: one lease of a run's money at a time

OPEN_SLICE = """
    INSERT INTO budget_slices (run_id, worker_id) VALUES (%(run)s, %(worker)s) ON CONFLICT DO NOTHING
"""

HOLDS_SLICE = "SELECT EXISTS (SELECT FROM budget_slices WHERE run_id = %(run)s AND worker_id = %(worker)s)"

TAKEN_FOR_DEAD = "worker {worker} was silent for so long that others have its work: start another one"

# An advisory lock, because the statements that settle calls lock the run's row while they hold a slice.
LOCK_BUDGET = f"SELECT pg_advisory_xact_lock({BUDGET_LOCK}, %(run)s::integer)"

# What the others hold counts as spent; of what is left, a worker gets its wish, or what it needs and an even part of
# the rest. Nothing is granted where there is no cap (LEAST and GREATEST pass over nulls).
LEASE = """
    WITH cap AS (
        SELECT (recipe #>> '{budget,usd}')::double precision AS usd, (recipe #>> '{budget,tokens}')::bigint AS tokens
        FROM runs WHERE id = %(run)s
    ), others AS (
        SELECT coalesce(sum(greatest(granted_usd, spent_usd)), 0) AS held_usd,
            coalesce(sum(greatest(granted_tokens, spent_tokens)), 0)::bigint AS held_tokens,
            coalesce(sum(spent_usd), 0) AS spent_usd, coalesce(sum(spent_tokens), 0)::bigint AS spent_tokens,
            count(*) FILTER (WHERE worker_id > 0) + 1 AS workers
        FROM budget_slices WHERE run_id = %(run)s AND worker_id <> %(worker)s
    ), free AS (
        SELECT cap.usd - held_usd AS usd, cap.tokens - held_tokens AS tokens FROM cap, others
    ), fits AS (
        SELECT coalesce(%(need_usd)s <= free.usd + 1e-10, true) AND coalesce(%(need_tokens)s <= free.tokens, true) AS it
        FROM free
    )
    UPDATE budget_slices SET
        granted_usd = CASE WHEN cap.usd IS NULL THEN NULL
            WHEN fits.it THEN greatest(%(keep_usd)s, %(need_usd)s,
                least(%(wish_usd)s, %(need_usd)s + (free.usd - %(need_usd)s) / workers))
            ELSE %(keep_usd)s END,
        granted_tokens = CASE WHEN cap.tokens IS NULL THEN NULL
            WHEN fits.it THEN greatest(%(keep_tokens)s, %(need_tokens)s,
                least(%(wish_tokens)s, %(need_tokens)s + (free.tokens - %(need_tokens)s) / workers))
            ELSE %(keep_tokens)s END
    FROM cap, others, free, fits
    WHERE run_id = %(run)s AND worker_id = %(worker)s
    RETURNING granted_usd, granted_tokens, cap.usd, cap.tokens, others.spent_usd, others.spent_tokens
"""

# What a worker that ended was asking has failed, and its estimate stays charged to its run: the endpoint may have been
# paid. More than the worker held was never sent: calls wait in the ledger until the budget holds them.
# Calls in batches outlive their worker: another fetches them, and what they can cost is held until the batch ends.
# A slice that is locked belongs to a worker that reserves or settles at this moment.
_END_SLICES = """
    WITH ended AS (
        DELETE FROM budget_slices WHERE (run_id, worker_id) IN (
            SELECT run_id, worker_id FROM budget_slices WHERE {whose} FOR UPDATE SKIP LOCKED
        )
        RETURNING run_id, worker_id, spent_usd, spent_tokens, granted_usd - least(granted_usd, spent_usd) AS left_usd,
            granted_tokens - least(granted_tokens, spent_tokens) AS left_tokens
    ), asked AS MATERIALIZED (
        SELECT calls.id, calls.run_id, calls.worker_id, calls.usd, calls.tokens
        FROM calls JOIN ended USING (run_id, worker_id)
        WHERE calls.state = 'reserved' AND calls.batch_id IS NULL ORDER BY calls.key FOR UPDATE OF calls
    ), travelling AS (
        SELECT calls.batch_id, sum(calls.usd) AS usd, sum(calls.tokens)::bigint AS tokens
        FROM calls JOIN ended USING (run_id, worker_id)
        WHERE calls.state = 'reserved' AND calls.batch_id IS NOT NULL GROUP BY calls.batch_id
    ), kept AS (
        UPDATE batches SET held_usd = usd, held_tokens = tokens
        FROM travelling WHERE batches.id = batch_id AND batches.state <> 'ended' AND held_usd IS NULL
        RETURNING run_id, usd, tokens
    ), held AS (
        INSERT INTO budget_slices (run_id, worker_id, granted_usd, granted_tokens)
        SELECT run_id, {batches}, sum(usd), sum(tokens) FROM kept GROUP BY run_id ORDER BY run_id
        ON CONFLICT (run_id, worker_id) DO UPDATE SET
            granted_usd = budget_slices.granted_usd + excluded.granted_usd,
            granted_tokens = budget_slices.granted_tokens + excluded.granted_tokens
    ), failed AS (
        UPDATE calls SET state = 'failed', error = 'its worker ended before the reply came', usd = 0, tokens = 0,
            lost_usd = calls.lost_usd + asked.usd, lost_tokens = calls.lost_tokens + asked.tokens
        FROM asked WHERE calls.id = asked.id
    ), charged AS (
        SELECT run_id, spent_usd, spent_tokens,
            least(coalesce(sum(asked.usd), 0), left_usd) AS lost_usd,
            least(coalesce(sum(asked.tokens), 0), left_tokens) AS lost_tokens
        FROM ended LEFT JOIN asked USING (run_id, worker_id)
        GROUP BY run_id, worker_id, spent_usd, spent_tokens, left_usd, left_tokens
    ), folded AS (
        INSERT INTO budget_slices (run_id, worker_id, spent_usd, spent_tokens)
        SELECT run_id, 0, sum(spent_usd + lost_usd), sum(spent_tokens + lost_tokens)
        FROM charged GROUP BY run_id ORDER BY run_id
        ON CONFLICT (run_id, worker_id) DO UPDATE SET spent_usd = budget_slices.spent_usd + excluded.spent_usd,
            spent_tokens = budget_slices.spent_tokens + excluded.spent_tokens
        RETURNING run_id
    )
    UPDATE runs SET lost_usd = runs.lost_usd + lost.usd, lost_tokens = runs.lost_tokens + lost.tokens
    FROM folded JOIN (
        SELECT run_id, sum(lost_usd) AS usd, sum(lost_tokens)::bigint AS tokens FROM charged GROUP BY run_id
    ) AS lost USING (run_id)
    WHERE runs.id = run_id AND (lost.usd > 0 OR lost.tokens > 0)
"""
FREE_DEAD_CALLS = _END_SLICES.format(
    whose=f"worker_id > 0 AND worker_id <> %(worker)s AND worker_id NOT IN ({ALIVE_WORKERS})", batches=BATCHES
)
END_SLICE = _END_SLICES.format(whose="run_id = %(run)s AND worker_id = %(worker)s", batches=BATCHES)


class PostgresPurse:
    """One worker's door to a run's money; satisfies `llm.leased_budget.Purse`. The cap is that of the stored recipe."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], *, run: int, worker: int) -> None:
        self._connection = connection
        self._who = {"run": run, "worker": worker}

    @classmethod
    @asynccontextmanager
    async def open(cls, registry: Registry, *, run: int, worker: int) -> "AsyncIterator[PostgresPurse]":
        """Open the purse on a connection of its own, once the worker's ledger is open."""
        async with await registry.async_connection(autocommit=True) as connection:
            yield cls(connection, run=run, worker=worker)

    async def lease(self, *, keep: Charge, need: Charge, wish: Charge) -> Share:
        """Hold `wish`, or what is fair of it and at least `need`; where that is not free, hold `keep`.

        Raises `WorkerLost` where the slice has ended.
        """
        amounts = {
            f"{name}_{unit}": getattr(charge, unit)
            for name, charge in {"keep": keep, "need": need, "wish": wish}.items()
            for unit in ("usd", "tokens")
        }
        share = await self._lease(amounts)
        if not share.granted.holds(need):  # perhaps a worker died that held some
            await self._connection.execute(FREE_DEAD_CALLS, self._who)
            share = await self._lease(amounts)
        return share

    async def _lease(self, amounts: dict[str, float]) -> Share:
        # One round trip: while the lock is held, nobody else of the run gets anything.
        async with self._connection.pipeline(), self._connection.transaction():
            await self._connection.execute(LOCK_BUDGET, self._who)
            cursor = await self._connection.execute(LEASE, self._who | amounts)
        row = await cursor.fetchone()
        if row is None:
            raise WorkerLost(TAKEN_FOR_DEAD.format(worker=self._who["worker"]))
        usd, tokens, cap_usd, cap_tokens, others_usd, others_tokens = row
        return Share(
            granted=Cap(usd=usd, tokens=tokens),
            cap=Cap(usd=cap_usd, tokens=cap_tokens),
            others=Charge(usd=others_usd, tokens=others_tokens),
        )
