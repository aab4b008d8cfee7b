"""The fleet's jobs: asked for once, claimed by one worker, done or given up.

Whatever a worker writes of a job is guarded by its id, so that one that was taken for dead writes nothing of what went
to another. A death and a defect are tries that failed; a failure that a person has to see to ends the job at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from kat_data.domain.job import JobKind, JobState
from kat_data.errors import NotFoundError, UserError
from kat_data.hashing import content_hash
from kat_data.redaction import redact
from kat_data.registry.claims import ALIVE_WORKERS

MOST_ATTEMPTS = 3
BACKOFF_SECONDS = 10.0

COLUMNS = "id, kind, arguments, state, attempts, worker_id AS worker, progress, result, error, created_at, finished_at"

ASK = """
    INSERT INTO jobs (key, kind, arguments, state) VALUES (:key, :kind, :arguments, 'open')
    ON CONFLICT (key) WHERE state = 'open' DO UPDATE SET key = excluded.key
    RETURNING id
"""

_FREE = "state = 'open' AND worker_id IS NULL AND available_at <= now() AND kind = ANY(:kinds)"

WAITING = f"SELECT id, kind FROM jobs WHERE {_FREE} ORDER BY id"

CLAIM = f"""
    UPDATE jobs SET worker_id = :worker, attempts = attempts + 1
    WHERE id = (SELECT id FROM jobs WHERE {_FREE} ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {COLUMNS}
"""

FINISH = """
    UPDATE jobs SET state = :state, result = :result, error = :error, finished_at = now()
    WHERE id = :job AND worker_id = :worker AND state = 'open'
"""

TELL = "UPDATE jobs SET progress = :progress WHERE id = :job AND worker_id = :worker AND state = 'open'"

PUT_BACK = """
    UPDATE jobs SET worker_id = NULL, progress = NULL, attempts = attempts - 1,
        available_at = now() + :delay * interval '1 second'
    WHERE id = :job AND worker_id = :worker AND state = 'open'
"""

_TRY_FAILED = f"""
    UPDATE jobs SET error = :error, available_at = now() + :delay * interval '1 second',
        state = CASE WHEN attempts < {MOST_ATTEMPTS} THEN 'open' ELSE 'failed' END,
        worker_id = CASE WHEN attempts >= {MOST_ATTEMPTS} THEN worker_id END,
        finished_at = CASE WHEN attempts >= {MOST_ATTEMPTS} THEN now() END
"""

SPOIL = f"{_TRY_FAILED} WHERE id = :job AND worker_id = :worker AND state = 'open'"

FREE_DEAD = f"""{_TRY_FAILED} WHERE id IN (
        SELECT id FROM jobs
        WHERE state = 'open' AND worker_id IS NOT NULL AND worker_id NOT IN ({ALIVE_WORKERS})
        FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job; `arguments` and `result` are JSON values, `worker` is who works on it, or did so last.

    `progress` is how far that one is: a `step`, and how many rows are `done` of the `total`.
    """

    id: int
    kind: JobKind
    arguments: dict[str, Any]
    state: JobState
    attempts: int
    worker: int | None
    progress: dict[str, Any] | None
    result: Any
    error: str | None
    created_at: datetime
    finished_at: datetime | None


def ask(connection: Connection, kind: JobKind, arguments: Mapping[str, Any]) -> JobRow:
    """Open a job and return it; the same one that is open already is returned in its place."""
    key = content_hash({"kind": kind.value, "arguments": dict(arguments)})
    values = {"key": key, "kind": kind.value, "arguments": orjson.dumps(dict(arguments)).decode()}
    return get_job(connection, connection.execute(text(ASK), values).scalar_one())


def get_job(connection: Connection, job: int) -> JobRow:
    """Return one job; raises `NotFoundError`."""
    row = connection.execute(text(f"SELECT {COLUMNS} FROM jobs WHERE id = :job"), {"job": job}).one_or_none()
    if row is None:
        raise NotFoundError(f"no job {job}: `kat jobs list` shows them")
    return _job(row)


def list_jobs(connection: Connection, limit: int) -> list[JobRow]:
    """Return the last jobs that were asked for, the newest first."""
    rows = connection.execute(text(f"SELECT {COLUMNS} FROM jobs ORDER BY id DESC LIMIT :limit"), {"limit": limit})
    return [_job(row) for row in rows]


def cancel(connection: Connection, job: int) -> JobRow:
    """Cancel an open job; raises `UserError` where it is open no more, `NotFoundError` where there is none."""
    sql = text("UPDATE jobs SET state = 'cancelled', finished_at = now() WHERE id = :job AND state = 'open'")
    cancelled = connection.execute(sql, {"job": job}).rowcount
    row = get_job(connection, job)
    if not cancelled:
        raise UserError(f"job {job} is {row.state.value}: only an open one can be cancelled")
    return row


def free_dead(connection: Connection) -> int:
    """Free the jobs of dead workers, fail those that were tried too often, and return how many there were."""
    values = {"error": "the worker that worked on it died", "delay": 0.0}
    return connection.execute(text(FREE_DEAD), values).rowcount


def waiting(connection: Connection, kinds: Collection[JobKind]) -> list[tuple[int, JobKind]]:
    """Return the jobs of these kinds that a worker could take up now, the oldest first."""
    rows = connection.execute(text(WAITING), {"kinds": [kind.value for kind in kinds]})
    return [(row.id, JobKind(row.kind)) for row in rows]


def claim(connection: Connection, kind: JobKind, worker: int) -> JobRow | None:
    """Give the oldest job of a kind that nobody works on to a worker; return none where there is none."""
    free_dead(connection)
    row = connection.execute(text(CLAIM), {"kinds": [kind.value], "worker": worker}).one_or_none()
    return None if row is None else _job(row)


def finish(connection: Connection, job: JobRow, *, result: Any = None, error: str | None = None) -> bool:
    """Note what a claimed job brought, or the error that it failed with; return false where it is the worker's no more.

    That is where it was cancelled, too.
    """
    state = JobState.DONE if error is None else JobState.FAILED
    brought = None if result is None else orjson.dumps(result).decode()
    return _write(connection, FINISH, job, state=state.value, result=brought, error=error and redact(error))


def tell(connection: Connection, job: JobRow, progress: Mapping[str, Any]) -> bool:
    """Note how far a claimed job is; false as above."""
    return _write(connection, TELL, job, progress=orjson.dumps(dict(progress)).decode())


def put_back(connection: Connection, job: JobRow, *, delay: float = 0.0) -> bool:
    """Leave a claimed job to others, or to oneself in `delay` seconds, as if it had not been tried; false as above."""
    return _write(connection, PUT_BACK, job, delay=delay)


def spoil(connection: Connection, job: JobRow, error: str) -> bool:
    """Note that a try was broken off by a defect; the last one allowed fails the job; false as above."""
    return _write(connection, SPOIL, job, error=redact(error), delay=BACKOFF_SECONDS)


def _write(connection: Connection, statement: str, job: JobRow, **values: Any) -> bool:
    return bool(connection.execute(text(statement), {"job": job.id, "worker": job.worker, **values}).rowcount)


def _job(row: Any) -> JobRow:
    plain = dict(row._mapping)
    return JobRow(**plain | {"kind": JobKind(row.kind), "state": JobState(row.state)})
