"""Held items of a run: how many there are of each stratum, which are let on, and when the rest are given up."""

from sqlalchemy import Connection, text

from kat_data.domain.drop import DropReason
from kat_data.registry import tallies

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
    """Return how many items an open run holds, by stage and stratum."""
    sql = """
        SELECT stage, stratum, count(*) AS items FROM work_items WHERE run_id = :run AND state = 'held'
            AND EXISTS (SELECT FROM runs WHERE id = :run AND state = 'open')
        GROUP BY stage, stratum
    """
    return {(row.stage, row.stratum): row.items for row in connection.execute(text(sql), {"run": run})}


def entered(connection: Connection, run: int, entry: str) -> dict[str, int]:
    """Return how many items of each category have left the entry, which is held at the stage `entry`."""
    sql = """
        SELECT category, count(*) AS items FROM work_items JOIN queries ON queries.id = query_id
        WHERE run_id = :run AND NOT (work_items.state = 'held' AND work_items.stage = :entry) GROUP BY category
    """
    return {row.category: row.items for row in connection.execute(text(sql), {"run": run, "entry": entry})}


def brought(connection: Connection, run: int) -> dict[str, int]:
    """Return how many samples the accepted items of each stratum have brought."""
    sql = """
        SELECT stratum, count(*) AS samples FROM work_items JOIN samples USING (run_id, query_id)
        WHERE run_id = :run AND work_items.state = 'accepted' AND stratum IS NOT NULL GROUP BY stratum
    """
    return {row.stratum: row.samples for row in connection.execute(text(sql), {"run": run})}


def let_on(connection: Connection, run: int, *, stage: str, stratum: str, responses: int, to: str) -> int:
    """Let items of a stratum on `to` a stage, in rank, until they are to bring `responses`; return how many."""
    sql = f"""
        WITH first AS (
            SELECT query_id, responses, rank FROM work_items
            WHERE run_id = :run AND state = 'held' AND stage = :stage AND stratum = :stratum
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
    values = {"run": run, "stage": stage, "stratum": stratum, "responses": responses, "to": to}
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
