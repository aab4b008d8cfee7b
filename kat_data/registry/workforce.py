"""Who is at work: the living workers, what each has in hand, and those that the server thinks alive but hang."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from kat_data.registry.claims import ALIVE_WORKERS, LOCKED_WORKERS

WORKERS = f"""
    SELECT id, host, pid, run_id AS run, started_at, seen_at, id IN ({ALIVE_WORKERS}) AS alive,
        (SELECT id FROM jobs WHERE worker_id = workers.id AND state = 'open') AS job,
        (SELECT count(*) FROM work_items WHERE worker_id = workers.id AND state = 'ready') AS items,
        (SELECT count(*) FROM calls WHERE worker_id = workers.id AND state = 'reserved') AS calls
    FROM workers WHERE id IN ({LOCKED_WORKERS}) ORDER BY host, pid, id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One worker: a process's part in one run, or its time at one job, with the items and calls that it has in hand.

    One that is not `alive` holds its session, but has not been heard of for longer than a lease.
    """

    id: int
    host: str
    pid: int
    run: int | None
    job: int | None
    started_at: datetime
    seen_at: datetime
    alive: bool
    items: int
    calls: int


def list_workers(connection: Connection) -> list[WorkerRow]:
    """Return every worker that has not ended, by host and process."""
    return [WorkerRow(**row._mapping) for row in connection.execute(text(WORKERS))]
