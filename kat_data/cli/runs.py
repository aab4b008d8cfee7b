"""`kat runs`: list, show, watch, compare modes, resume and cancel."""

from functools import partial
from typing import Any

import click

from kat_data.cli.calibration import print_calibrations
from kat_data.cli.fleet import executor_options
from kat_data.cli.mode_report import print_modes
from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry, transaction
from kat_data.cli.report import print_report, report
from kat_data.cli.run import finish_by_fleet, finish_run
from kat_data.domain.states import ItemState, RunState
from kat_data.pipeline.calibration import calibrate
from kat_data.registry import runs as stored
from kat_data.registry.asked import user_texts
from kat_data.registry.mode_evidence import mode_evidence
from kat_data.registry.overview import run_overview


@click.group()
def runs() -> None:
    """List, show, watch, resume and cancel runs."""


@runs.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all runs, the newest first."""
    with transaction() as connection:
        rows = stored.list_runs(connection)
    if as_json:
        print_json([{"run": r.id, "recipe": r.name, "state": r.state, "queries": r.queries} for r in rows])
        return
    cells = [[r.id, r.name, r.state.value, r.queries, r.created_at, r.reason or ""] for r in rows]
    print_table(["run", "recipe", "state", "queries", "opened", "why"], cells)


@runs.command()
@click.argument("run", type=int)
@json_option
def show(run: int, as_json: bool) -> None:
    """Show a run's funnel, composition and cost."""
    with transaction() as connection:
        found = report(connection, run)
    if as_json:
        print_json(found)
    else:
        print_report(found)


@runs.command()
@click.argument("run", type=int)
@json_option
def watch(run: int, as_json: bool) -> None:
    """Watch a run, whoever works on it, until it ends; --json prints where it stands now, and ends."""
    from kat_data.cli.watch import plain, watch_run

    with open_registry() as registry:
        if not as_json:
            watch_run(registry, run)
            return
        with registry.engine.connect() as connection:
            print_json(plain(run_overview(connection, run)))


@runs.command()
@click.argument("run", type=int)
@json_option
def calibration(run: int, as_json: bool) -> None:
    """Compare a run's tagged difficulty with pass rates measured on its queries, in this run or any other."""
    with transaction() as connection:
        found = calibrate(connection, run)
    if as_json:
        print_json({"run": run, "calibrations": found})
    else:
        print_calibrations(run, found)


@runs.command()
@click.argument("run", type=int)
@json_option
def modes(run: int, as_json: bool) -> None:
    """Compare the modes that a run chose with what its stage measure_mode found."""
    with transaction() as connection:
        stored.get_run(connection, run)
        rows = mode_evidence(connection, run)
    if as_json:
        print_json({"run": run, "modes": rows})
    elif rows:
        print_modes(rows)
    else:
        say(f"run {run} measured no turn: its recipe needs the stage measure_mode, and queries with a verifier")


@runs.command()
@click.argument("run", type=int)
@click.option("--state", type=click.Choice([state.value for state in ItemState]), help="Only items in this state.")
@click.option("--reason", help="Only items with this reason code, e.g. wrong_answer.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@json_option
def items(run: int, state: str | None, reason: str | None, limit: int, as_json: bool) -> None:
    """List single items of a run and why each ended; `kat samples show RUN/QUERY` tells all of one."""
    with transaction() as connection:
        stored.get_run(connection, run)
        rows = stored.list_items(connection, run, state, reason, limit)
        more = stored.count_items(connection, run, state, reason) - len(rows)
    if as_json:
        print_json(rows)
    else:
        columns = ("query", "category", "state", "stage", "reason", "detail")
        print_table([*columns, "question"], [[*(row[name] for name in columns), _question(row)] for row in rows])
    if more:
        say(f"{more:,} more: `--limit {len(rows) + more}` lists them all")


def _question(row: dict[str, Any]) -> str:
    asked = user_texts(row["messages"])
    return " ".join(asked[0].split())[:60] if asked else ""


@runs.command()
@click.argument("run", type=int)
@click.option("--dead", is_flag=True, help="Try the dead items again, too.")
@executor_options
@json_option
def resume(run: int, dead: bool, executor: str, detach: bool, as_json: bool) -> None:
    """Go on with a run that was stopped, cancelled or killed; nothing is paid or done twice."""
    with open_registry() as registry:
        with registry.engine.begin() as connection:
            row = stored.get_run(connection, run)
            revived = stored.revive_dead(connection, run) if dead else 0
            if revived:
                stored.set_state(connection, run, RunState.OPEN)
        finish = partial(finish_by_fleet, detach=detach) if executor == "celery" else finish_run
        found = finish(registry, row, stopped=print_json if as_json else print_report)
    if as_json:
        print_json(found)
    else:
        print_report(found)


@runs.command()
@click.argument("run", type=int)
@json_option
def cancel(run: int, as_json: bool) -> None:
    """Cancel a run: a process that works on it ends after its calls in flight; `kat runs resume` takes it up again."""
    with transaction() as connection:
        stored.set_state(connection, run, RunState.CANCELLED, "cancelled by `kat runs cancel`")
    if as_json:
        print_json({"run": run, "state": RunState.CANCELLED})
    else:
        say(f"run {run} is cancelled; what it accepted stays")
