"""`kat jobs`: work that the fleet was asked for beside runs."""

from dataclasses import asdict
from typing import Any

import click

from kat_data.cli.fleet import progress_of
from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import transaction
from kat_data.domain.job import JobState
from kat_data.registry import jobs as stored
from kat_data.registry.jobs import JobRow


@click.group()
def jobs() -> None:
    """List, show and cancel jobs: work beside runs that the workers of a fleet were asked for."""


@jobs.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@json_option
def list_(limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    with transaction() as connection:
        rows = stored.list_jobs(connection, limit)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    cells = [[row.id, row.kind, _what(row), _stand(row), row.created_at, row.error or ""] for row in rows]
    print_table(["job", "kind", "what", "state", "asked for", "why"], cells)


@jobs.command()
@click.argument("job", type=int)
@json_option
def show(job: int, as_json: bool) -> None:
    """Show what a job does, where it stands, and what it brought."""
    with transaction() as connection:
        row = stored.get_job(connection, job)
    if as_json:
        print_json(asdict(row))
        return
    facts: dict[str, Any] = {
        "kind": row.kind,
        **_given(row),
        "state": _stand(row),
        "progress": progress_of(row),
        "tries": row.attempts,
        "asked for": row.created_at,
        "ended": row.finished_at,
        "why": row.error,
        **(row.result or {}),
    }
    print_table(["fact", "value"], [[name, value] for name, value in facts.items() if value is not None])


@jobs.command()
@click.argument("job", type=int)
@json_option
def cancel(job: int, as_json: bool) -> None:
    """Cancel a job that is open; a worker that is at work on it may still write what it does, and tells nobody."""
    with transaction() as connection:
        stored.cancel(connection, job)
    if as_json:
        print_json({"job": job, "state": JobState.CANCELLED})
    else:
        say(f"job {job} is cancelled")


def _given(row: JobRow) -> dict[str, Any]:
    return {name: value for name, value in row.arguments.items() if value not in (None, False)}


def _what(row: JobRow) -> str:
    return ", ".join(name if value is True else f"{name} {value}" for name, value in _given(row).items())


def _stand(row: JobRow) -> str:
    if row.state is not JobState.OPEN:
        return row.state.value
    return "waits" if row.worker is None else f"worker {row.worker} is at work on it"
