"""Held items of a run: how many there are in each pool, which are let on, and when the rest are given up."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from kat_data.domain.drop import DropReason
from kat_data.registry import tallies
from kat_data.registry.standing import withdrawn

_LOCK = 0x4B52  # the class of the advisory locks under which one worker at a time looks at a run's held items


def lock(connection: Connection, run: int) -> None:
    """Keep other workers from letting items on until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:class, (:run)::integer)"), {"class": _LOCK, "run": run})


def workable(connection: Connection, run: int) -> int:
    """Return how many items of an open run are ready, whoever leases them; of another, none are."""
    sql = """
        SELECT count(*) FROM work_items WHERE run_id = :run AND state = 'ready'
            AND EXISTS (SELECT FROM runs WHERE id = :run AND state = 'open')
    """
    count: int = connection.execute(text(sql), {"run": run}).scalar_one()
    return count


def held(connection: Connection, run: int) -> dict[tuple[str, str], int]:
    """Return how many items an open run holds, by stage and pool."""
    sql = """
        SELECT stage, pool, count(*) AS items FROM work_items WHERE run_id = :run AND state = 'held'
            AND EXISTS (SELECT FROM runs WHERE id = :run AND state = 'open')
        GROUP BY stage, pool
    """
    return {(row.stage, row.pool): row.items for row in connection.execute(text(sql), {"run": run})}


def entered(connection: Connection, run: int, entry: str) -> dict[str, int]:
    """Return how many items of each category have left the entry, which is held at the stage `entry`."""
    sql = """
        SELECT category, count(*) AS items FROM work_items JOIN queries ON queries.id = query_id
        WHERE run_id = :run AND NOT (work_items.state = 'held' AND work_items.stage = :entry) GROUP BY category
    """
    return {row.category: row.items for row in connection.execute(text(sql), {"run": run, "entry": entry})}


def unasked(connection: Connection, run: int, stage: str) -> frozenset[str]:
    """Return the pools of which some items were given up before they came to the set stage `stage`."""
    sql = """
        SELECT DISTINCT pool FROM work_items
        WHERE run_id = :run AND state = 'dropped' AND reason = :reason AND stage <> :stage
    """
    values = {"run": run, "stage": stage, "reason": DropReason.NOT_NEEDED.value}
    return frozenset(connection.execute(text(sql), values).scalars())


def left(connection: Connection, run: int, behind: Sequence[str]) -> dict[str, int]:
    """Return how many samples were hoped for of the items that were let on from each pool of a set stage.

    They stand at a stage behind it, or at an earlier one of a further turn.
    """
    sql = """
        SELECT pool, sum(responses)::bigint AS responses FROM work_items
        WHERE run_id = :run AND (stage = ANY(:behind) OR turn > 0) GROUP BY pool
    """
    return {row.pool: row.responses for row in connection.execute(text(sql), {"run": run, "behind": list(behind)})}


def brought(connection: Connection, run: int) -> dict[str, int]:
    """Return how many samples of each stratum a run has, but for those whose query was withdrawn."""
    sql = f"""
        SELECT stratum, count(*) AS samples FROM samples
        WHERE run_id = :run AND stratum IS NOT NULL AND NOT {withdrawn("samples.query_id")} GROUP BY stratum
    """
    return {row.stratum: row.samples for row in connection.execute(text(sql), {"run": run})}


def let_on(connection: Connection, run: int, *, stage: str, pool: str, responses: int, to: str) -> int:
    """Let items of a pool on `to` a stage, in rank, until they are to bring `responses`; return how many."""
    sql = f"""
        WITH first AS (
            SELECT query_id, responses, rank FROM work_items
            WHERE run_id = :run AND state = 'held' AND stage = :stage AND pool = :pool
            ORDER BY rank, query_id LIMIT :responses
        ), counted AS (
            SELECT query_id, responses, sum(responses) OVER (ORDER BY rank, query_id) - responses AS before FROM first
        ), moved AS (
            UPDATE work_items AS item SET state = 'ready', stage = :to, available_at = now(),
                responses = least(item.responses, :responses - before)
            FROM counted
            WHERE item.run_id = :run AND item.query_id = counted.query_id AND item.state = 'held'
                AND before < :responses
            RETURNING item.run_id, :stage AS stage_before, 'held' AS state_before,
                item.stage AS stage_after, item.state AS state_after
        ), tallied AS ({tallies.moved_items("moved")})
        SELECT count(*) FROM moved
    """
    values = {"run": run, "stage": stage, "pool": pool, "responses": responses, "to": to}
    count: int = connection.execute(text(sql), values).scalar_one()
    return count


def give_up(connection: Connection, run: int) -> int:
    """Drop what an open run still holds, as nothing needs it; return how many items that were."""
    sql = f"""
        WITH moved AS (
            UPDATE work_items SET state = 'dropped', reason = :reason WHERE run_id = :run AND state = 'held'
                AND EXISTS (SELECT FROM runs WHERE id = :run AND state = 'open')
            RETURNING run_id, stage AS stage_before, 'held' AS state_before, stage AS stage_after, state AS state_after
        ), tallied AS ({tallies.moved_items("moved")})
        SELECT count(*) FROM moved
    """
    values = {"run": run, "reason": DropReason.NOT_NEEDED.value}
    count: int = connection.execute(text(sql), values).scalar_one()
    return count
