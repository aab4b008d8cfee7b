"""`kat workers`: who is at work, and the embedded broker that wakes them."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import transaction
from kat_data.executors import embedded_broker
from kat_data.registry.workforce import WorkerRow, list_workers
from kat_data.settings import Settings, mask_password

NOBODY = "nobody works: start workers with `celery -A workers worker`, or a run with `kat run RECIPE`"


@click.group()
def workers() -> None:
    """Show who works on the runs; start and stop the embedded broker."""


@workers.command()
@json_option
def status(as_json: bool) -> None:
    """List the processes that work on runs or jobs, on any machine, with the items and calls that each has in hand."""
    with transaction() as connection:
        rows = list_workers(connection)
    if as_json:
        print_json([asdict(row) for row in rows])
    elif rows:
        columns = ["worker", "host", "process", "run", "job", "at work for", "last heard of", "items", "calls", "state"]
        print_table(columns, [_cells(row) for row in rows])
    else:
        say(NOBODY)


@workers.group()
def broker() -> None:
    """See to the embedded broker, which serves this machine where KAT_BROKER_URL is not set."""


@broker.command("status")
@json_option
def broker_status(as_json: bool) -> None:
    """Print where the broker is, and whether the embedded one runs."""
    settings = Settings.load()
    running = settings.broker_url is None and embedded_broker.running(settings.home)
    place = mask_password(settings.broker_url) if settings.broker_url else str(settings.home / "broker")
    facts = {"place": place, "embedded": settings.broker_url is None, "running": running}
    if as_json:
        print_json(facts if facts["embedded"] else {**facts, "running": None})
    else:
        print_table(["fact", "value"], [[name, str(value)] for name, value in facts.items()])


@broker.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the embedded broker; the next command or worker that needs it starts it again, and nothing is lost."""
    ran = embedded_broker.stop(Settings.load().home)
    if as_json:
        print_json({"stopped": ran})
    else:
        say("the embedded broker is stopped" if ran else "the embedded broker was not running")


def _cells(row: WorkerRow) -> list[Any]:
    state = "at work" if row.alive else "hangs: its work goes to others"
    times = (_ago(row.started_at), f"{_ago(row.seen_at)} ago")
    return [row.id, row.host, row.pid, row.run or "", row.job or "", *times, row.items, row.calls, state]


def _ago(moment: datetime) -> str:
    seconds = max(0, round((datetime.now(UTC) - moment).total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
