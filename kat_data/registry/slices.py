"""Slices of endpoints' limits, leased from Postgres.

A renewal is one message of several statements under the endpoint's row lock: the server never waits for a client that
hangs while it holds the lock, and each statement sees what those before it, and other workers, have committed.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from typing import Any

import psycopg

from kat_data.domain.slice import EndpointLimits, Report, Slice
from kat_data.errors import WorkerLost
from kat_data.registry.budgets import TAKEN_FOR_DEAD
from kat_data.registry.claims import ALIVE_WORKERS, LEASE_SECONDS
from kat_data.registry.session import Registry

CHANNEL = "kat_limits"
# A minute, the second that a date is exact to, and one for the way to the endpoint.
WINDOW_SECONDS = 62
# Of what is free in the minute, the part that is given in one second: a burst is spread, and 94 % of the rate is used.
PART = 0.25
PATIENCE_SECONDS = 30  # with a server that does not answer
DEAD_SEAT_SECONDS = 3  # a dead worker's seats stay taken: the endpoint may still work on its calls
TURN_SECONDS = 5  # where there are fewer seats than workers, how long one keeps its seat

MINE = "endpoint_id = %(endpoint)s AND worker_id = %(worker)s AND lease = %(lease)s"

# A throttled limit is forgotten with the last worker that knew it.
OPEN = """
    INSERT INTO endpoint_limits AS old (place) VALUES (%(place)s)
    ON CONFLICT (place) DO UPDATE SET
        concurrency = CASE WHEN EXISTS (SELECT FROM endpoint_slices WHERE endpoint_id = old.id) THEN old.concurrency END
    RETURNING id
"""

LOCK = "SELECT FROM endpoint_limits WHERE id = %(endpoint)s FOR UPDATE"

REPORT = """
    INSERT INTO endpoint_slices (endpoint_id, worker_id, lease, ceiling, rpm, tpm, seats, wants, requests, tokens,
        asks, asks_tokens, needs_tokens, reported_at)
    VALUES (%(endpoint)s, %(worker)s, %(lease)s, %(ceiling)s, %(rpm)s, %(tpm)s, %(holds)s, %(wants)s, %(requests)s,
        %(tokens)s, %(asks)s, %(asks_tokens)s, %(needs_tokens)s, coalesce(%(at)s::timestamptz, clock_timestamp()))
    ON CONFLICT (endpoint_id, worker_id, lease) DO UPDATE SET seats = excluded.seats, wants = excluded.wants,
        requests = excluded.requests, tokens = excluded.tokens, asks = excluded.asks,
        asks_tokens = excluded.asks_tokens, needs_tokens = excluded.needs_tokens, reported_at = excluded.reported_at
"""

_NOW = f"(SELECT reported_at FROM endpoint_slices WHERE {MINE})"
_THIS_SECOND = f"(SELECT floor(extract(epoch FROM reported_at))::bigint FROM endpoint_slices WHERE {MINE})"

# What was spent between two reports is dated by the later one, and what a dead worker held by the finding of its
# death: it leaves the minute late rather than early.
SPEND = f"""
    WITH dead AS (
        DELETE FROM endpoint_slices
        WHERE endpoint_id = %(endpoint)s AND worker_id <> %(worker)s AND worker_id NOT IN ({ALIVE_WORKERS})
          AND reported_at < {_NOW} - interval '{DEAD_SEAT_SECONDS} seconds'
        RETURNING requests, tokens
    ), spent AS (
        SELECT sum(requests) AS requests, sum(tokens) AS tokens FROM (
            SELECT requests, tokens FROM dead
            UNION ALL SELECT %(spent_requests)s, %(spent_tokens)s
        ) AS either
    )
    INSERT INTO endpoint_spending AS old (endpoint_id, second, requests, tokens)
    SELECT %(endpoint)s, {_THIS_SECOND}, requests, tokens FROM spent WHERE requests <> 0 OR tokens <> 0
    ON CONFLICT (endpoint_id, second) DO UPDATE
        SET requests = old.requests + excluded.requests, tokens = old.tokens + excluded.tokens
"""

REFUND = """
    UPDATE endpoint_spending AS old SET tokens = greatest(0, old.tokens - refund.tokens)
    FROM unnest(%(refunded_seconds)s::bigint[], %(refunded_tokens)s::bigint[]) AS refund (second, tokens)
    WHERE endpoint_id = %(endpoint)s AND old.second = refund.second
"""

FORGET = f"""
    DELETE FROM endpoint_spending
    WHERE endpoint_id = %(endpoint)s AND second <= {_THIS_SECOND} - {WINDOW_SECONDS}
"""

_STRICTEST = """
    strictest AS (
        SELECT min(ceiling) AS ceiling, min(rpm) AS rpm, min(tpm) AS tpm
        FROM endpoint_slices WHERE endpoint_id = %(endpoint)s
    )
"""

# AIMD: n windows of good calls, each one call longer than the last, raise the limit by n.
ADAPT = f"""
    WITH {_STRICTEST}, before AS (
        SELECT least(concurrency, ceiling) AS seats, ceiling, good + %(good)s AS good,
            generation <= %(throttled)s AS throttled
        FROM endpoint_limits, strictest WHERE id = %(endpoint)s
    ), raised AS (
        SELECT max(n) AS by, max(n * seats + n * (n - 1) / 2) AS taken
        FROM before, generate_series(0, ceiling - seats) AS n WHERE n * seats + n * (n - 1) / 2 <= good
    )
    UPDATE endpoint_limits AS old SET
        concurrency = CASE WHEN throttled THEN greatest(1, seats / 2) ELSE nullif(seats + by, ceiling) END,
        good = CASE WHEN throttled OR seats + by = ceiling THEN 0 ELSE before.good - taken END,
        generation = old.generation + throttled::int,
        paused_until = CASE WHEN %(pause)s > 0
            THEN greatest(old.paused_until, clock_timestamp() + %(pause)s * interval '1 second')
            ELSE old.paused_until END
    FROM before, raised WHERE id = %(endpoint)s
"""

TELL = f"SELECT pg_notify('{CHANNEL}', %(endpoint)s::text) WHERE %(pause)s > 0 OR %(throttled)s >= 0"

# Seats are shared out max-min fairly: whoever wants less than the level gets it, all others the level. What nobody
# wants is spare and lies ready with everyone.
_SHARES = f"""
    {_STRICTEST}, whole AS (
        SELECT least(concurrency, ceiling) AS seats, rpm, tpm FROM endpoint_limits, strictest WHERE id = %(endpoint)s
    ), ascending AS (
        SELECT worker_id, lease, wants, slice.seats AS holds, whole.seats AS whole,
            whole.seats - coalesce(sum(wants) OVER (by_wants ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                AS remaining,
            count(*) OVER () - row_number() OVER by_wants + 1 AS sharers
        FROM endpoint_slices AS slice, whole WHERE endpoint_id = %(endpoint)s
        WINDOW by_wants AS (ORDER BY wants, worker_id, lease)
    ), levelled AS (
        SELECT *, greatest(0, max(remaining / sharers) OVER ()) AS level FROM ascending
    ), placed AS (
        SELECT *, wants > level AS short, bool_or(wants > level) OVER () AS scarce,
            whole - sum(least(wants, level)) OVER () AS spare, whole - sum(holds) OVER () AS free,
            row_number() OVER peers - 1 AS position, count(*) OVER (PARTITION BY wants > level) AS peers,
            CASE WHEN level = 0 THEN {_THIS_SECOND} / {TURN_SECONDS} ELSE 0 END AS turn
        FROM levelled WINDOW peers AS (PARTITION BY wants > level ORDER BY worker_id, lease)
    ), shares AS (
        SELECT worker_id, lease, holds, free::int, (least(wants, level) + CASE
            WHEN short THEN ((position + turn) %% peers < spare)::int
            WHEN scarce THEN 0
            ELSE spare / peers END)::int AS share
        FROM placed
    )
"""

# Who was given nothing for the longest comes first: what it needs is kept for it, and the others share the rest.
_RATES = f"""
    hungry AS (
        SELECT slice.*, count(*) OVER () AS mouths, row_number() OVER by_hunger AS rank,
            first_value(needs_tokens) OVER by_hunger AS first_needs,
            {PART} * least(1, coalesce(extract(epoch FROM reported_at - fed_at), 1)) AS part
        FROM endpoint_slices AS slice
        WHERE endpoint_id = %(endpoint)s AND (asks > 0 OR asks_tokens > 0)
          AND reported_at > (SELECT reported_at - interval '3 seconds' FROM endpoint_slices WHERE {MINE})
        WINDOW by_hunger AS (ORDER BY fed_at NULLS FIRST, worker_id, lease)
    ), used AS (
        SELECT sum(requests) AS requests, sum(tokens) AS tokens FROM (
            SELECT requests, tokens FROM endpoint_spending
            WHERE endpoint_id = %(endpoint)s AND second > {_THIS_SECOND} - {WINDOW_SECONDS}
            UNION ALL SELECT requests, tokens FROM endpoint_slices WHERE endpoint_id = %(endpoint)s
        ) AS either
    ), room AS (
        SELECT greatest(0, rpm - requests) AS requests, greatest(0, tpm - tokens) AS tokens FROM whole, used
    ), offered AS (
        SELECT hungry.rpm, hungry.tpm, asks, asks_tokens, needs_tokens,
            least(asks, floor((ceil(room.requests * part) + mouths - rank) / mouths)) AS requests,
            least(asks_tokens, CASE
                WHEN rank > 1 THEN floor(ceil(greatest(0, room.tokens - first_needs) * part) / mouths)
                WHEN needs_tokens <= room.tokens THEN greatest(needs_tokens, floor(ceil(room.tokens * part) / mouths))
                ELSE 0 END) AS tokens
        FROM hungry, room WHERE {MINE}
    ), given AS (
        SELECT coalesce(max(requests), 0)::bigint AS requests, coalesce(max(tokens), 0)::bigint AS tokens FROM offered
        WHERE (rpm IS NULL OR asks = 0 OR requests > 0)
          AND (tpm IS NULL OR asks_tokens = 0 OR tokens >= greatest(1, needs_tokens))
    )
"""

GRANT = f"""
    WITH {_SHARES}, {_RATES}, alive AS (SELECT %(worker)s IN ({ALIVE_WORKERS}) AS alive
    ), granted AS (
        UPDATE endpoint_slices AS mine SET
            seats = holds + CASE WHEN alive THEN greatest(0, least(share - holds, free)) ELSE 0 END,
            requests = mine.requests + CASE WHEN alive THEN given.requests ELSE 0 END,
            tokens = mine.tokens + CASE WHEN alive THEN given.tokens ELSE 0 END,
            fed_at = CASE WHEN alive AND (given.requests > 0 OR given.tokens > 0)
                THEN mine.reported_at ELSE mine.fed_at END
        FROM shares, given, alive
        WHERE mine.endpoint_id = %(endpoint)s AND mine.worker_id = %(worker)s AND mine.lease = %(lease)s
          AND shares.worker_id = mine.worker_id AND shares.lease = mine.lease
        RETURNING mine.seats, CASE WHEN alive THEN share ELSE 0 END AS share, free + holds - mine.seats AS left_free,
            CASE WHEN alive THEN given.requests ELSE 0 END AS requests,
            CASE WHEN alive THEN given.tokens ELSE 0 END AS tokens, alive
    ), starving AS (
        SELECT worker_id, shares.lease FROM shares
        WHERE holds < share AND (worker_id, shares.lease) <> (%(worker)s, %(lease)s)
        ORDER BY share - holds DESC LIMIT greatest(0, (SELECT left_free FROM granted))
    )
    SELECT seats, share, generation,
        greatest(0, extract(epoch FROM paused_until - clock_timestamp()))::double precision AS pause,
        requests, tokens, {_THIS_SECOND} AS second, alive,
        (SELECT count(pg_notify('{CHANNEL}', concat_ws(' ', %(endpoint)s, worker_id, lease))) FROM starving) AS told
    FROM granted, endpoint_limits WHERE id = %(endpoint)s
"""

RENEW = ";".join((LOCK, REPORT, SPEND, REFUND, FORGET, ADAPT, TELL, GRANT))

LEAVE = ";".join((LOCK, REPORT, SPEND, REFUND, f"DELETE FROM endpoint_slices WHERE {MINE}"))


class PostgresSlices:
    """One worker's door to the limits that all workers share; satisfies `llm.shared_limit.Slices`.

    Minutes go by the server's clock unless `now` is another.
    """

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], *, worker: int, now: Callable[[], datetime | None]
    ) -> None:
        self._connection = connection
        self._worker = worker
        self._now = now
        self._leases: dict[int, dict[str, Any]] = {}
        self._subjects: set[str] = set()
        self._dead_since: int | None = None

    @classmethod
    async def open_for(
        cls, registry: Registry, *, worker: int, now: Callable[[], datetime | None] = lambda: None
    ) -> "PostgresSlices":
        """Open them on a connection of their own, which `close` closes; the worker holds its lock already."""
        async with AsyncExitStack() as opened:
            connection = await opened.enter_async_context(await registry.async_connection(autocommit=True))
            # What a crash of the server takes along, the workers' next reports bring back.
            await connection.execute(f"SET synchronous_commit = off; LISTEN {CHANNEL}")
            opened.pop_all()
        return cls(connection, worker=worker, now=now)

    async def open(self, place: str, limits: EndpointLimits) -> int:
        """Take a lease at the endpoint that its provider knows as `place`."""
        cursor = await self._connection.execute(OPEN, {"place": place})
        row = await cursor.fetchone()
        assert row is not None
        lease = len(self._leases)
        self._leases[lease] = {
            "endpoint": row[0],
            "worker": self._worker,
            "lease": lease,
            "ceiling": limits.concurrency,
            "rpm": limits.rpm,
            "tpm": limits.tpm,
        }
        self._subjects |= {str(row[0]), f"{row[0]} {self._worker} {lease}"}
        return lease

    async def renew(self, lease: int, report: Report) -> Slice:
        """Report what became of a slice, and take the next.

        A worker that others take for dead gets nothing. Raises `WorkerLost` where it stays so.
        """
        seats, share, generation, pause, requests, tokens, second, alive, _ = await self._ask(RENEW, lease, report)
        self._dead_since = None if alive else self._dead_since or second
        if self._dead_since is not None and second - self._dead_since > LEASE_SECONDS:
            raise WorkerLost(TAKEN_FOR_DEAD.format(worker=self._worker))
        return Slice(
            seats=seats,
            share=share,
            generation=generation,
            pause=pause or 0.0,
            requests=requests,
            tokens=tokens,
            second=second,
        )

    async def give_back(self, lease: int, report: Report) -> None:
        """End a lease: what it has not spent is free for others at once."""
        await self._ask(LEAVE, lease, report)

    async def news(self, seconds: float) -> None:
        """Return when another worker has freed what one of ours lacks, or was asked to pause, or after `seconds`."""
        async with aclosing(self._connection.notifies(timeout=seconds)) as notices:
            async for notice in notices:
                if notice.payload in self._subjects:
                    return

    async def close(self) -> None:
        """Close the connection; leases that were not given back end with their worker."""
        await self._connection.close()

    async def _ask(self, statements: str, lease: int, report: Report) -> Any:
        drawn = report.drawn
        values = self._leases[lease] | {
            "holds": report.holds,
            "wants": report.wants,
            "good": report.good,
            "throttled": -1 if report.throttled is None else report.throttled,
            "pause": report.pause,
            "spent_requests": drawn.spent_requests,
            "spent_tokens": drawn.spent_tokens,
            "requests": drawn.held_requests,
            "tokens": drawn.held_tokens,
            "asks": drawn.asks_requests,
            "asks_tokens": drawn.asks_tokens,
            "needs_tokens": drawn.needs_tokens,
            "refunded_seconds": [second for second, _ in drawn.refunds],
            "refunded_tokens": [tokens for _, tokens in drawn.refunds],
            "at": self._now(),
        }
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), psycopg.AsyncClientCursor(self._connection) as cursor:
                await cursor.execute(statements, values)
                while cursor.nextset():
                    pass
                return await cursor.fetchone() if cursor.description else None
        except TimeoutError as error:
            raise psycopg.OperationalError(f"no answer in {PATIENCE_SECONDS} s") from error
