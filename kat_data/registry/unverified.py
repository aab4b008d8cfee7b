"""Items that a run dropped because no sandbox could run their programs: counted, and started again."""

from sqlalchemy import Connection, text

from kat_data.domain.drop import DropReason
from kat_data.registry import runs, tallies
from kat_data.registry.drafts import FACT_TABLES
from kat_data.registry.standing import withdrawn

_RESTARTED = f"""
    UPDATE work_items AS item SET state = CASE WHEN :held THEN 'held' ELSE 'ready' END, stage = :stage, turn = 0,
        attempts = 0, responses = 1, reason = NULL, detail = NULL, worker_id = NULL, available_at = now(),
        pool = CASE WHEN :held THEN 'category=' || queries.category END
    FROM work_items AS before JOIN queries ON queries.id = before.query_id
    WHERE item.run_id = :run AND item.state = 'dropped' AND item.reason = :reason
      AND NOT {withdrawn("item.query_id")}
      AND before.run_id = item.run_id AND before.query_id = item.query_id
    RETURNING item.run_id, item.query_id, before.stage AS stage_before, before.state AS state_before,
        item.stage AS stage_after, item.state AS state_after
"""


def count(connection: Connection, run: int) -> int:
    """Return how many items of a run were dropped for want of a sandbox."""
    return sum(row.items for row in runs.funnel(connection, run) if row.reason == DropReason.NO_SANDBOX)


def restart(connection: Connection, run: int, *, stage: str, held: bool) -> int:
    """Let these items start again from nothing at `stage`, or be held there; return how many there were.

    What stages had made of them goes in the same statement. Their attempts stay, and what those paid for is in the
    ledger, so that asking again costs nothing.
    """
    gone = ", ".join(
        f"{table}_gone AS (DELETE FROM {table} USING restarted WHERE {table}.run_id = restarted.run_id"
        f" AND {table}.query_id = restarted.query_id)"
        for table in FACT_TABLES
    )
    tallied = tallies.moved_items("restarted")
    sql = text(f"WITH restarted AS ({_RESTARTED}), {gone}, tallied AS ({tallied}) SELECT count(*) FROM restarted")
    values = {"run": run, "stage": stage, "held": held, "reason": DropReason.NO_SANDBOX.value}
    restarted: int = connection.execute(sql, values).scalar_one()
    if restarted:
        runs.forget_counters(connection, run)
    return restarted
