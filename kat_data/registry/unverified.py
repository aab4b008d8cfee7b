"""Items that a run dropped because no sandbox could run their programs: counted, and started again."""

from sqlalchemy import Connection, text

from kat_data.domain.drop import DropReason
from kat_data.registry import runs
from kat_data.registry.drafts import FACT_TABLES

_RESTARTED = """
    UPDATE work_items SET state = CASE WHEN :held THEN 'held' ELSE 'ready' END, stage = :stage, turn = 0,
        attempts = 0, responses = 1, reason = NULL, detail = NULL, worker_id = NULL, available_at = now(),
        stratum = CASE WHEN :held THEN 'category=' || queries.category END
    FROM queries
    WHERE run_id = :run AND state = 'dropped' AND reason = :reason AND queries.id = query_id
    RETURNING run_id, query_id
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
    sql = text(f"WITH restarted AS ({_RESTARTED}), {gone} SELECT count(*) FROM restarted")
    values = {"run": run, "stage": stage, "held": held, "reason": DropReason.NO_SANDBOX.value}
    restarted: int = connection.execute(sql, values).scalar_one()
    if restarted:
        runs.forget_counters(connection, run)
    return restarted
