"""Withdrawals: queries that no run and no snapshot takes any more, and what holds some of them already.

Whoever makes something of queries takes `hold` first, so that a withdrawal comes wholly before it or wholly after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.drop import DropReason
from kat_data.domain.states import RunState
from kat_data.domain.withdrawal import WithdrawalKind
from kat_data.errors import NotFoundError, UserError
from kat_data.registry import runs, tallies
from kat_data.registry.standing import withdrawn
from kat_data.registry.training import trained_on

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why something is withdrawn, or a withdrawal undone, and on whose word."""

    reason: str
    by: str
    kind: WithdrawalKind = WithdrawalKind.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One withdrawal: of its `queries`, `earlier` were withdrawn before; `dropped` counts by run the items it ended."""

    id: int
    queries: int
    earlier: int
    dropped: list[Row]


def hold(connection: Connection) -> None:
    """Keep others from withdrawing anything until this transaction ends.

    As its first statement this also serves a transaction that looks at the database once and for all.
    """
    connection.execute(text("LOCK TABLE withdrawals IN SHARE MODE"))


def withdraw_source(connection: Connection, source: str, why: Why) -> Withdrawal:
    """Withdraw every query of a source, and what is imported of it later; raises `NotFoundError`."""
    found = connection.execute(text("SELECT id FROM sources WHERE name = :name"), {"name": source}).scalar()
    if found is None:
        raise NotFoundError(f"there is no source {source}: `kat queries list` names them")
    return _withdraw(connection, why, "SELECT id FROM queries WHERE source_id = :source", source=int(found))


def withdraw_queries(connection: Connection, queries: Sequence[int], why: Why) -> Withdrawal:
    """Withdraw these queries."""
    return _withdraw(connection, why, "SELECT unnest((:queries)::bigint[])", queries=list(queries))


def _withdraw(connection: Connection, why: Why, which: str, source: int | None = None, **values: Any) -> Withdrawal:
    connection.execute(_ALONE)
    ident = _note(connection, why, source=source)
    earlier = f"SELECT count(*) FROM ({which}) AS named(id) WHERE {withdrawn('named.id')}"
    before: int = connection.execute(text(earlier), {"source": source, **values}).scalar_one()
    queries = connection.execute(
        text(f"INSERT INTO withdrawn_queries SELECT id, :withdrawal FROM ({which}) AS named(id) ORDER BY id"),
        {"withdrawal": ident, "source": source, **values},
    ).rowcount
    connection.execute(text("ANALYZE withdrawn_queries"))  # or the next statements take it for as small as it was
    dropped = _move(connection, ident, _DROP)
    for row in dropped:
        if row["state"] == RunState.FINISHED:
            runs.fold_counters(connection, row["run"])
    return Withdrawal(id=ident, queries=queries, earlier=before, dropped=dropped)


def undo(connection: Connection, withdrawal: int, why: Why) -> Row:
    """Take a withdrawal back: what no other one covers can be used again, and its items are taken up by their runs.

    A finished run that gets items back is open again.
    Raises `NotFoundError`, or `UserError` where it was undone before.
    """
    connection.execute(_ALONE)
    found = find(connection, withdrawal)
    if found["undone_by"] is not None:
        raise UserError(f"withdrawal {withdrawal} was undone by {found['undone_by']} already: nothing was done")
    _note(connection, why, undoes=withdrawal)
    still = f"SELECT count(*) FROM withdrawn_queries AS mine WHERE withdrawal_id = :id AND {withdrawn('mine.query_id')}"
    remain: int = connection.execute(text(still), {"id": withdrawal}).scalar_one()
    taken_up = _move(connection, withdrawal, _TAKE_UP)
    for row in taken_up:
        if row["state"] == RunState.FINISHED:
            runs.forget_counters(connection, row["run"])
            runs.set_state(connection, row["run"], RunState.OPEN)
            row["state"] = RunState.OPEN.value
    return {
        "withdrawal": withdrawal,
        "queries": found["queries"] - remain,
        "still_withdrawn": remain,
        "taken_up": taken_up,
    }


def list_withdrawals(connection: Connection) -> list[Row]:
    """Return every withdrawal, the newest first, with how many queries it covers and who undid it."""
    return _all(connection, f"SELECT *, ({_COUNT}) AS queries FROM ({_TOLD}) AS told ORDER BY id DESC", {})


def find(connection: Connection, withdrawal: int) -> Row:
    """Return one withdrawal as `list_withdrawals` does; raises `NotFoundError`."""
    sql = f"SELECT *, ({_COUNT}) AS queries FROM ({_TOLD}) AS told WHERE id = :id"
    for row in _all(connection, sql, {"id": withdrawal}):
        return row
    raise NotFoundError(f"there is no withdrawal {withdrawal}: `kat queries withdrawals` lists them")


def of_query(connection: Connection, query: int) -> list[Row]:
    """Return the withdrawals that cover a query, those that were undone among them, the newest first.

    How many queries each covers is not told: of a large source, counting them takes longer than all the rest.
    """
    which = "SELECT withdrawal_id FROM withdrawn_queries WHERE query_id = :query"
    return _all(connection, f"SELECT * FROM ({_TOLD}) AS told WHERE id IN ({which}) ORDER BY id DESC", {"query": query})


_TOLD = """
    SELECT own.id, own.kind, sources.name AS source, own.reason, own.decided_by, own.decided_at,
        undo.decided_by AS undone_by, undo.reason AS undone_reason, undo.decided_at AS undone_at
    FROM withdrawals AS own LEFT JOIN sources ON sources.id = own.source_id
    LEFT JOIN withdrawals AS undo ON undo.undoes = own.id
    WHERE own.undoes IS NULL
"""

_COUNT = "SELECT count(*) FROM withdrawn_queries WHERE withdrawal_id = told.id"


def holders(connection: Connection, withdrawal: int) -> dict[str, list[Row]]:
    """Return the snapshots that hold rows of a withdrawal, and the training runs that they went into."""
    snapshots = _all(connection, _HOLDERS, {"id": withdrawal})
    rows = {row["hash"]: row["rows"] for row in snapshots}
    training = trained_on(connection, [bytes.fromhex(found) for found in rows])
    for run in training:
        run["rows"] = sum(rows.get(found["hash"], 0) for found in run["inputs"])
    return {"snapshots": snapshots, "training": training}


def withdrawn_rows(connection: Connection, snapshot: bytes) -> int:
    """Return how many rows of a noted snapshot, by its content hash, are withdrawn.

    Who notes a snapshot and then looks, and who withdraws and then looks at `holders`, cannot both miss each other.
    """
    sql = f"""
        SELECT count(DISTINCT samples.hash) FROM snapshots JOIN snapshot_rows ON snapshot_id = snapshots.id
        JOIN samples ON samples.id = sample_id
        WHERE snapshots.hash = :snapshot AND {withdrawn("samples.query_id")}
    """
    count: int = connection.execute(text(sql), {"snapshot": snapshot}).scalar_one()
    return count


# It waits for all that was begun with what is withdrawn now.
_ALONE = text("LOCK TABLE withdrawals IN SHARE ROW EXCLUSIVE MODE")

# Samples have no index by query: the items lead to them.
_HOLDERS = """
    SELECT name, version, encode(snapshots.hash, 'hex') AS hash, count(DISTINCT samples.hash) AS rows, path
    FROM withdrawn_queries JOIN work_items USING (query_id) JOIN samples USING (run_id, query_id)
    JOIN snapshot_rows ON sample_id = samples.id JOIN snapshots ON snapshots.id = snapshot_id
    WHERE withdrawal_id = :id GROUP BY snapshots.id ORDER BY name, version
"""

# The lease goes with the state, so that what a worker makes of the item meanwhile is not written.
_DROP = f"""
    UPDATE work_items AS item SET state = 'dropped', reason = '{DropReason.WITHDRAWN}',
        detail = before.state || ' when it was withdrawn', worker_id = NULL, lease_token = item.lease_token + 1
    FROM withdrawn_queries JOIN work_items AS before USING (query_id)
    WHERE withdrawal_id = :id AND before.state IN ('ready', 'held', 'dead')
"""

_TAKE_UP = f"""
    UPDATE work_items AS item SET state = CASE WHEN before.detail LIKE 'held %' THEN 'held' ELSE 'ready' END,
        reason = NULL, detail = NULL, attempts = 0, available_at = now()
    FROM withdrawn_queries JOIN work_items AS before USING (query_id)
    WHERE withdrawal_id = :id AND before.state = 'dropped' AND before.reason = '{DropReason.WITHDRAWN}'
        AND NOT {withdrawn("before.query_id")}
"""


def _move(connection: Connection, withdrawal: int, update: str) -> list[Row]:
    """Move items of a withdrawal and return how many these were, by run.

    Item by item this could deadlock with workers, which move theirs in groups: they wait, and before that we for them.
    The runs wait, too, so that none of them finishes on what its items were.
    """
    connection.execute(text("LOCK TABLE work_items IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(text("SELECT FROM runs ORDER BY id FOR NO KEY UPDATE"))
    sql = f"""
        WITH moved AS (
            {update} AND item.run_id = before.run_id AND item.query_id = before.query_id
            RETURNING item.run_id, before.stage AS stage_before, before.state AS state_before,
                item.stage AS stage_after, item.state AS state_after
        ), tallied AS ({tallies.moved_items("moved")})
        SELECT run_id AS run, runs.name, runs.state, count(*) AS items
        FROM moved JOIN runs ON runs.id = run_id GROUP BY run_id, runs.name, runs.state ORDER BY run_id
    """
    return _all(connection, sql, {"id": withdrawal})


def _note(connection: Connection, why: Why, *, source: int | None = None, undoes: int | None = None) -> int:
    sql = """
        INSERT INTO withdrawals (kind, reason, decided_by, source_id, undoes)
        VALUES (:kind, :reason, :by, :source, :undoes) RETURNING id
    """
    values = {"kind": why.kind.value, "reason": why.reason, "by": why.by, "source": source, "undoes": undoes}
    ident: int = connection.execute(text(sql), values).scalar_one()
    return ident


def _all(connection: Connection, sql: str, values: Row) -> list[Row]:
    return [dict(row._mapping) for row in connection.execute(text(sql), values)]
