"""Retention: what of old calls can go, and what stays.

Requests are read by nobody but people: without them no call is ever paid twice. Replies are what the ledger is for, so
they go only where that is asked for, and never where an item that has not ended could ask for them again. What stays of
such a call (key, model, tokens, money, time) moves to `pruned_calls`; its key can be paid for again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from kat_data.errors import NotFoundError, UserError
from kat_data.registry.session import Registry

WINDOW = 10_000
"""How many ids one transaction looks at."""

# A cancelled run is left alone unless it is named: it can be resumed.
_RUNS = "SELECT id FROM runs WHERE state = 'finished' OR (state = 'cancelled' AND id = %(run)s)"

_OLD = f"""
    FROM calls WHERE state = 'done' AND settled_at < %(before)s AND run_id IN ({_RUNS})
        AND run_id = coalesce(%(run)s, run_id)
"""

# The ledger keys behind every item that has not ended, or is dead and may be tried again; also of cancelled runs, but
# for the one that is named.
_NEEDED = """
    INSERT INTO needed SELECT DISTINCT unnest(calls) AS key FROM stage_attempts JOIN (
        SELECT DISTINCT work_items.run_id, waiting.query_id
        FROM (
            SELECT query_id FROM work_items JOIN runs ON runs.id = work_items.run_id
            WHERE work_items.state IN ('ready', 'held', 'dead')
                AND (runs.state <> 'cancelled' OR runs.id IS DISTINCT FROM %(run)s)
        ) AS waiting JOIN work_items USING (query_id)
    ) AS items USING (run_id, query_id)
"""

# What is needed changes where runs are opened and taken up again.
_RUNS_NOW = "SELECT md5(string_agg(concat_ws(' ', id, state), ',' ORDER BY id)) FROM runs"

_UNNEEDED = "AND NOT EXISTS (SELECT FROM needed WHERE needed.key = calls.key)"

_WINDOW = "AND id >= %(low)s AND id < %(high)s"

LOOK_AT_REQUESTS = f"SELECT count(*), coalesce(sum(pg_column_size(request)), 0) {_OLD} AND request IS NOT NULL"

LOOK_AT_REPLIES = f"""
    SELECT count(*), coalesce(sum(coalesce(pg_column_size(request), 0) + pg_column_size(reply)), 0) {_OLD} {_UNNEEDED}
"""

PRUNE_REQUESTS = f"""
    WITH old AS MATERIALIZED (
        SELECT id, pg_column_size(request) AS bytes {_OLD} AND request IS NOT NULL {_WINDOW} FOR UPDATE
    ), pruned AS (
        UPDATE calls SET request = NULL FROM old WHERE calls.id = old.id
    )
    SELECT count(*), coalesce(sum(bytes), 0) FROM old
"""

_KEPT = "id, key, model, revision, usd, tokens, lost_usd, lost_tokens, recorded, seconds, run_id, worker_id, created_at"

PRUNE_REPLIES = f"""
    WITH old AS MATERIALIZED (
        SELECT id, coalesce(pg_column_size(request), 0) + pg_column_size(reply) AS bytes {_OLD} {_UNNEEDED} {_WINDOW}
        FOR UPDATE
    ), gone AS (
        DELETE FROM calls USING old WHERE calls.id = old.id RETURNING calls.*
    ), kept AS (
        INSERT INTO pruned_calls ({_KEPT}, settled_at, finish_reason, prompt_tokens, completion_tokens)
        SELECT {_KEPT}, settled_at, finish_reason, coalesce((reply->'usage'->>'prompt_tokens')::bigint, 0),
            coalesce((reply->'usage'->>'completion_tokens')::bigint, 0)
        FROM gone
    )
    SELECT count(*), coalesce(sum(bytes), 0) FROM old
"""

_SPAN = "SELECT min(id), max(id) FROM calls WHERE run_id = coalesce(%(run)s, run_id)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many calls lost their bodies, and how many bytes these took as stored.

    `payable_again` keys have no reply any more; `kept` are old calls that items which have not ended may ask for.
    """

    calls: int
    bytes: int
    payable_again: int
    kept: int


def prune_calls(
    registry: Registry,
    age: timedelta,
    *,
    run: int | None = None,
    replies: bool = False,
    dry: bool = False,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> Pruned:
    """Drop the requests, and the replies if `replies`, of calls that finished runs settled more than `age` ago.

    Works in short transactions, so that runs go on meanwhile; what is done stays when it is interrupted. `dry`
    only counts.
    Raises `UserError` where `run` has not finished and is not cancelled either, `NotFoundError` where there is none.
    """
    with registry.connection(autocommit=True) as connection:
        _check(connection, run)
        [before] = connection.execute("SELECT now() - %s", [age]).fetchone() or [None]
        where = {"run": run, "before": before}
        needed = _Needed(connection, run) if replies else None
        looked_at = _counts(connection, LOOK_AT_REPLIES if replies else LOOK_AT_REQUESTS, where)
        done = looked_at
        if not dry:
            done = _prune(connection, PRUNE_REPLIES if replies else PRUNE_REQUESTS, where, observe, needed)
        kept = _counts(connection, f"SELECT count(*), 0 {_OLD}", where)[0] if replies else 0
    return Pruned(
        calls=done[0],
        bytes=done[1],
        payable_again=done[0] if replies else 0,
        kept=kept - looked_at[0] if replies and dry else kept,
    )


def _check(connection: "psycopg.Connection[Any]", run: int | None) -> None:
    if run is None:
        return
    row = connection.execute("SELECT state FROM runs WHERE id = %s", [run]).fetchone()
    if row is None:
        raise NotFoundError(f"no run {run}: `kat runs list` shows them")
    if row[0] not in ("finished", "cancelled"):
        raise UserError(f"run {run} is {row[0]}, and may need its calls: finish it with `kat runs resume {run}` first")


class _Needed:
    """The keys that must stay, in a table of this connection."""

    def __init__(self, connection: "psycopg.Connection[Any]", run: int | None) -> None:
        self._connection = connection
        self._run = run
        self._runs: Any = None
        connection.execute("CREATE TEMPORARY TABLE needed (key bytea)")
        connection.execute("CREATE INDEX ON needed (key)")
        self.renew()

    def renew(self) -> None:
        """Look again where a run was opened or taken up since the last look."""
        found = self._connection.execute(_RUNS_NOW).fetchone()
        if found != self._runs:
            self._runs = found
            self._connection.execute("TRUNCATE needed")
            self._connection.execute(_NEEDED, {"run": self._run})
            self._connection.execute("ANALYZE needed")


def _prune(
    connection: "psycopg.Connection[Any]",
    statement: str,
    where: dict[str, Any],
    observe: Callable[[int, int], None],
    needed: _Needed | None,
) -> tuple[int, int]:
    row = connection.execute(_SPAN, where).fetchone()
    first, end = (int(row[0]), int(row[1]) + 1) if row and row[0] is not None else (0, 0)
    calls, size = 0, 0
    for low in range(first, end, WINDOW):
        if needed:
            needed.renew()
        found = _counts(connection, statement, {**where, "low": low, "high": low + WINDOW})
        calls, size = calls + found[0], size + found[1]
        observe(min(low + WINDOW, end) - first, end - first)
    return calls, size


def _counts(connection: "psycopg.Connection[Any]", statement: str, values: dict[str, Any]) -> tuple[int, int]:
    row = connection.execute(statement, values).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
