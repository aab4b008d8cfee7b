"""Runs in the registry: open one over a set of queries, change its state, count its funnel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from kat_data.domain.states import RUN_MOVES, RunState
from kat_data.errors import NotFoundError, UserError
from kat_data.hashing import content_hash
from kat_data.redaction import redact
from kat_data.registry import tallies
from kat_data.registry.choice import Choice, Chosen, choose
from kat_data.registry.claims import AT_WORK, REVIVE, STOP_LEFT

RUN_COLUMNS = """
    id, name, recipe, context, state, executor, reason, stopped_by, queries, left_out, created_at, finished_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run as stored; `recipe` is the resolved recipe, `context` what else decides the samples.

    `executor` says who works on it while it is open: `local` processes or the fleet's workers (`celery`).
    `left_out` counts the queries of the recipe's sources and categories that are no items of the run, by source, each
    with its licence and a reason code.
    """

    id: int
    name: str
    recipe: dict[str, Any]
    context: dict[str, Any]
    state: RunState
    executor: str
    reason: str | None
    stopped_by: str | None
    queries: int
    left_out: list[dict[str, Any]]
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRun:
    """What a run is made of beside its queries.

    `identity` is what of the recipe decides the samples, `context` what else does. `held` items wait until a mixture
    needs them, in the seed's order.
    """

    name: str
    recipe: dict[str, Any]
    identity: dict[str, Any]
    first_stage: str
    context: Mapping[str, Any] = field(default_factory=dict)
    held: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """How many items of a run ended (or stand) at `stage` in `state`, and why."""

    stage: str
    state: str
    reason: str | None
    items: int


def open_run(connection: Connection, wanted: WantedRun, choice: Choice) -> tuple[RunRow, bool]:
    """Return the run of this recipe over the chosen queries, and whether it is new.

    An existing one takes the recipe's new budget.
    """
    chosen = choose(connection, choice)
    key = content_hash({"recipe": wanted.identity, "queries": chosen.digest.hex(), **wanted.context})
    run = _insert_run(connection, key, wanted, chosen)
    if run is None:
        return _renew_run(connection, key, wanted, chosen), False
    _insert_items(connection, run, wanted)
    _tally_items(connection, run, wanted, chosen.count)
    return get_run(connection, run), True


def _insert_run(connection: Connection, key: bytes, wanted: WantedRun, chosen: Chosen) -> int | None:
    """Return the new run's id, or none where the key has a run."""
    sql = """
        INSERT INTO runs (key, name, recipe, context, state, queries, left_out)
        SELECT :key, :name, :recipe, :context, 'open', :queries, :left_out
        WHERE NOT EXISTS (SELECT FROM runs WHERE key = :key)
        ON CONFLICT (key) DO NOTHING RETURNING id
    """
    values = {
        "key": key,
        "name": wanted.name,
        "recipe": _json(wanted.recipe),
        "context": _json(dict(wanted.context)),
        "queries": chosen.count,
        "left_out": _json(chosen.left_out),
    }
    run: int | None = connection.execute(text(sql), values).scalar()
    return run


def _insert_items(connection: Connection, run: int, wanted: WantedRun) -> None:
    """Make an item of every chosen query."""
    # In the order of the indexes: by hash, which is none of theirs, this takes twice the time.
    sql = """
        INSERT INTO work_items (run_id, query_id, stage, state, pool, rank)
        SELECT :run, id, :stage, CASE WHEN :held THEN 'held' ELSE 'ready' END,
            CASE WHEN :held THEN 'category=' || category END,
            CASE WHEN :held THEN ('x' || left(encode(sha256(:seed || hash), 'hex'), 15))::bit(60)::bigint ELSE 0 END
        FROM chosen ORDER BY id
    """
    values = {"run": run, "stage": wanted.first_stage, "held": wanted.held, "seed": str(wanted.seed).encode()}
    connection.execute(text(sql), values)


def _tally_items(connection: Connection, run: int, wanted: WantedRun, queries: int) -> None:
    sql = """
        INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count)
        VALUES (:run, :nobody, 'item', :stage, CASE WHEN :held THEN 'held' ELSE 'ready' END, :queries)
    """
    values = {"nobody": tallies.NOBODY, "stage": wanted.first_stage, "held": wanted.held, "queries": queries}
    connection.execute(text(sql), {"run": run, **values})


def _renew_run(connection: Connection, key: bytes, wanted: WantedRun, chosen: Chosen) -> RunRow:
    sql = f"UPDATE runs SET recipe = :recipe, left_out = :left_out WHERE key = :key RETURNING {RUN_COLUMNS}"
    values = {"key": key, "recipe": _json(wanted.recipe), "left_out": _json(chosen.left_out)}
    return _run(connection.execute(text(sql), values).one())


def get_run(connection: Connection, run: int) -> RunRow:
    """Return one run; raises `NotFoundError`."""
    row = connection.execute(text(f"SELECT {RUN_COLUMNS} FROM runs WHERE id = :run"), {"run": run}).one_or_none()
    if row is None:
        raise NotFoundError(f"no run {run}: `kat runs list` shows them")
    return _run(row)


def list_runs(connection: Connection) -> list[RunRow]:
    """Return every run, the newest first."""
    return [_run(row) for row in connection.execute(text(f"SELECT {RUN_COLUMNS} FROM runs ORDER BY id DESC"))]


def set_state(connection: Connection, run: int, state: RunState, reason: str | None = None) -> None:
    """Move a run to `state`; a move that the table of moves lacks raises `UserError`."""
    allowed = [old.value for old, news in RUN_MOVES.items() if state in news or old is state]
    moved = connection.execute(
        text("""
            UPDATE runs SET state = :state, reason = :reason, stopped_by = NULL,
                finished_at = CASE WHEN :state = 'finished' THEN coalesce(finished_at, now()) END
            WHERE id = :run AND state = ANY(:allowed)
        """),
        {"run": run, "state": state.value, "reason": reason and redact(reason), "allowed": allowed},
    )
    if not moved.rowcount:
        raise UserError(f"run {run} is {get_run(connection, run).state.value}: it cannot become {state.value}")


def open_to(connection: Connection, run: int, executor: str) -> None:
    """Open a run for work by `executor`, whatever its state was before."""
    set_state(connection, run, RunState.OPEN)
    connection.execute(text("UPDATE runs SET executor = :executor WHERE id = :run"), {"run": run, "executor": executor})


def finish(connection: Connection, run: int) -> bool:
    """Finish an open run whose items have all ended; return whether this did it, as of several that try the first does.

    Once the run is locked nobody cancels or stops it, and nobody starts its items again, before this is decided.
    """
    locked = text("SELECT state FROM runs WHERE id = :run FOR UPDATE")
    if connection.execute(locked, {"run": run}).scalar() != RunState.OPEN or unfinished(connection, run):
        return False
    fold_counters(connection, run)
    set_state(connection, run, RunState.FINISHED)
    return True


def stop(connection: Connection, run: int, error: Exception) -> bool:
    """Stop an open run for everybody; return whether this did it, and left the error's words and kind behind."""
    sql = """
        UPDATE runs SET state = 'stopped', reason = :reason, stopped_by = :by WHERE id = :run AND state = 'open'
        RETURNING id
    """
    values = {"run": run, "reason": redact(str(error)), "by": type(error).__name__}
    return connection.execute(text(sql), values).scalar() is not None


def stop_left(connection: Connection, run: int) -> bool:
    """Stop an open run of local processes that nobody works on any more; return whether this did it.

    The fleet's runs stay open, as its reapers wake others.
    """
    return connection.exec_driver_sql(STOP_LEFT, {"run": run}).scalar() is not None


def at_work(connection: Connection, run: int) -> bool:
    """Whether any worker takes part in the run."""
    found: bool = connection.exec_driver_sql(AT_WORK, {"run": run}).scalar_one()
    return found


def fold_counters(connection: Connection, run: int) -> None:
    """Write a finished run's funnel into `run_counters`, so that reading it costs nothing later; fold its tallies."""
    connection.execute(text(tallies.FOLD), {"run": run})
    forget_counters(connection, run)
    connection.execute(
        text("""
            INSERT INTO run_counters (run_id, stage, state, reason, items)
            SELECT run_id, stage, state, coalesce(reason, ''), count(*) FROM work_items WHERE run_id = :run
            GROUP BY run_id, stage, state, coalesce(reason, '')
        """),
        {"run": run},
    )


def funnel(connection: Connection, run: int) -> list[FunnelRow]:
    """Return where the run's items ended or stand; the counts add up to the run's queries."""
    rows = connection.execute(
        text("""
            SELECT stage, state, nullif(reason, '') AS reason, items FROM run_counters
            WHERE run_id = :run AND EXISTS (SELECT FROM runs WHERE id = :run AND state = 'finished')
            UNION ALL
            SELECT stage, state, reason, count(*) FROM work_items
            WHERE run_id = :run AND NOT EXISTS (SELECT FROM runs WHERE id = :run AND state = 'finished')
            GROUP BY stage, state, reason
        """),
        {"run": run},
    )
    return [FunnelRow(stage=r.stage, state=r.state, reason=r.reason, items=r.items) for r in rows]


def unfinished(connection: Connection, run: int) -> int:
    """Return how many items of a run have not ended yet."""
    sql = text("SELECT count(*) FROM work_items WHERE run_id = :run AND state IN ('ready', 'held')")
    count: int = connection.execute(sql, {"run": run}).scalar_one()
    return count


_ITEMS = """
    FROM work_items JOIN queries ON queries.id = query_id
    WHERE run_id = :run AND state = coalesce(:state, state) AND coalesce(reason, '') = coalesce(:reason, reason, '')
"""


def list_items(
    connection: Connection, run: int, state: str | None, reason: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return where single items of a run stand, and why; the first by query."""
    columns = "query_id AS query, category, stage, state, attempts, reason, detail, messages"
    rows = connection.execute(
        text(f"SELECT {columns} {_ITEMS} ORDER BY query_id LIMIT :limit"),
        {"run": run, "state": state, "reason": reason, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]


def count_items(connection: Connection, run: int, state: str | None, reason: str | None) -> int:
    """Return how many items `list_items` would list without its limit."""
    values = {"run": run, "state": state, "reason": reason}
    count: int = connection.execute(text(f"SELECT count(*) {_ITEMS}"), values).scalar_one()
    return count


def revive_dead(connection: Connection, run: int) -> int:
    """Make a run's dead items ready again and return how many there were."""
    revived: int = connection.exec_driver_sql(REVIVE, {"run": run}).scalar_one()
    if revived:
        forget_counters(connection, run)
    return revived


def forget_counters(connection: Connection, run: int) -> None:
    """Take back what `fold_counters` wrote, as items of the run go on."""
    connection.execute(text("DELETE FROM run_counters WHERE run_id = :run"), {"run": run})


def _run(row: Any) -> RunRow:
    return RunRow(
        id=row.id,
        name=row.name,
        recipe=row.recipe,
        context=row.context,
        state=RunState(row.state),
        executor=row.executor,
        reason=row.reason,
        stopped_by=row.stopped_by,
        queries=row.queries,
        left_out=row.left_out,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
