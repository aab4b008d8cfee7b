"""`kat run`: a recipe over the registry's queries."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from kat_data.cli.deduplicate import compare
from kat_data.cli.fleet import executor_options, follow
from kat_data.cli.output import json_option, print_json, say
from kat_data.cli.preview import extrapolate, print_extrapolation
from kat_data.cli.progress import work_on
from kat_data.cli.registry import open_registry
from kat_data.cli.report import print_report, report
from kat_data.domain.drop import DropReason
from kat_data.domain.states import RunState
from kat_data.domain.stratum import EXAMPLE, parse_stratum
from kat_data.errors import ConfigError, RunStopped, UserError
from kat_data.executors.fleet import submit
from kat_data.pipeline.recipe import Recipe, load_recipe, parse_recipe, with_counts
from kat_data.pipeline.run import choice_of, open_run
from kat_data.pipeline.unverified import isolates, take_up_unverified
from kat_data.pipeline.wiring import MakeClient, check_keys, make_client
from kat_data.registry import runs
from kat_data.registry.choice import count_chosen
from kat_data.registry.session import Registry
from kat_data.sandbox.open import opener
from kat_data.settings import Settings
from kat_data.stages.deduplicate import Deduplicate

Show = Callable[[dict[str, Any]], None]
Finish = Callable[..., dict[str, Any]]


@click.command()
@click.argument("recipe")
@click.option("--preview", type=click.IntRange(min=1), help="Run only N queries and extrapolate the cost of all.")
@click.option("--accept", multiple=True, metavar="'STRATUM: N'", help="Sample until N samples of a stratum are there.")
@click.option("--budget", type=click.FloatRange(min=0), metavar="USD", help="The run's hard cap, over the recipe's.")
@click.option(
    "--licence-allow",
    metavar="LICENCES",
    help="Take only queries under these licences, e.g. apache-2.0,mit, in place of the recipe's queries.licences.",
)
@executor_options
@json_option
def run(
    recipe: str,
    preview: int | None,
    accept: tuple[str, ...],
    budget: float | None,
    licence_allow: str | None,
    executor: str,
    detach: bool,
    as_json: bool,
) -> None:
    """Run RECIPE (a path, or a shipped name) over the registry's queries; the same command again resumes it.

    With --executor celery the workers of `celery -A workers worker` do the work, and this command shows how it goes.

    With --accept 'category=math mode=think_on difficulty=6..9: 5000', which can be given several times, the run goes
    on until every stratum has its samples, or until the budget or the pool of queries ends, and says which.
    """
    if detach and preview:
        raise UserError("--detach goes without --preview: the estimate is made of what the run has done")
    whole = with_counts(load_recipe(recipe), _counts(accept), budget)
    if licence_allow is not None:
        whole = _with_queries(whole, licences=_licences(licence_allow))
    with open_registry() as registry:
        stopped = print_json if as_json else print_report
        if executor == "local":
            check_keys(whole)  # before a run is opened in vain; the workers of a fleet have keys of their own
        finish = partial(finish_by_fleet, detach=detach) if executor == "celery" else finish_run
        found = run_recipe(registry, _cut(whole, preview) if preview else whole, finish=finish, stopped=stopped)
        if preview:
            found["extrapolated"] = _extrapolate(registry, whole, found)
    if as_json:
        print_json(found)
        return
    print_report(found)
    if preview:
        print_extrapolation(found["extrapolated"])


def run_recipe(registry: Registry, recipe: Recipe, *, finish: Finish, stopped: Show = lambda _: None) -> dict[str, Any]:
    """Open or resume the recipe's run, have `finish` work on it, and return its report.

    `stopped` gets the report where the run stops before.
    """
    row, new = open_run(registry, recipe)
    say(f"run {row.id} ({row.name}): {row.queries} queries" + ("" if new else f", {row.state.value} before"))
    for left in row.left_out:
        allowed = (
            f", whose licence {left['licence']} is not allowed"
            if left["reason"] == DropReason.LICENCE_NOT_ALLOWED
            else ""
        )
        say(f"left out: {left['queries']} queries of {left['source']}{allowed or ', which are withdrawn'}")
    return finish(registry, row, stopped=stopped)


def finish_run(
    registry: Registry, row: runs.RunRow, *, client: MakeClient = make_client, stopped: Show = lambda _: None
) -> dict[str, Any]:
    """Work on a run until it is finished, and return its report; a finished run is only reported.

    Unless it lacked a sandbox, and there is one now. Where the run stops before, `stopped` gets the report of what is
    there, and the error is raised.
    """
    _take_up_unverified(registry, row, lambda: isolates(opener(Settings.load())))

    def work(left: int) -> None:
        work_on(registry, row, row.queries - left, client=client)

    return _finish(registry, row, work, stopped)


def finish_by_fleet(
    registry: Registry, row: runs.RunRow, *, detach: bool = False, stopped: Show = lambda _: None
) -> dict[str, Any]:
    """Hand a run over to the fleet, show how it goes until it is finished or stopped, and return its report.

    With `detach`, return at once.
    """
    _take_up_unverified(registry, row, lambda: True)  # whether a worker has a sandbox, workers will find

    def work(_: int) -> None:
        submit(registry, row, Settings.load())
        if detach:
            say(f"run {row.id} is with the workers: `kat runs watch {row.id}` shows how it goes")
        else:
            follow(registry, row.id)

    return _finish(registry, row, work, stopped)


def _take_up_unverified(registry: Registry, row: runs.RunRow, isolated: Callable[[], bool]) -> None:
    if again := take_up_unverified(registry, row, isolated):
        say(f"{again} queries whose programs no sandbox could run before are taken up again")


def _finish(registry: Registry, row: runs.RunRow, work: Callable[[int], None], stopped: Show) -> dict[str, Any]:
    with registry.engine.begin() as connection:
        row, left = runs.get_run(connection, row.id), runs.unfinished(connection, row.id)
    if left or row.state is not RunState.FINISHED:
        if any(isinstance(stage, Deduplicate) for stage in parse_recipe(row.recipe, f"run {row.id}").stages):
            compare(registry)
        try:
            work(left)
        except RunStopped:
            with registry.engine.begin() as connection:
                stopped(report(connection, row.id))
            raise
    with registry.engine.begin() as connection:
        return report(connection, row.id)


def _counts(wishes: Sequence[str]) -> dict[str, int]:
    """Read each `STRATUM: N`; raises `UserError`."""
    counts = {}
    for wish in wishes:
        stratum, colon, number = wish.rpartition(":")
        try:
            digits = number.strip().replace(",", "").replace("_", "")
            if not colon or not digits.isdecimal() or not int(digits):
                raise ValueError(f"write it as {EXAMPLE[:-1]}: 5000`, with a whole number above 0")
            counts[str(parse_stratum(stratum))] = int(digits)
        except ValueError as error:
            raise UserError(f"--accept {wish!r}: {error}") from None
    return counts


def _cut(recipe: Recipe, limit: int) -> Recipe:
    wanted = min(limit, recipe.queries.limit or limit)
    return _with_queries(recipe, limit=wanted)


def _with_queries(recipe: Recipe, **changes: Any) -> Recipe:
    return recipe.model_copy(update={"queries": recipe.queries.model_copy(update=changes)})


def _licences(given: str) -> tuple[str, ...]:
    licences = tuple(name for part in given.split(",") if (name := part.strip()))
    if not licences:
        raise ConfigError("--licence-allow names no licence: write some, such as apache-2.0,mit")
    return licences


def _extrapolate(registry: Registry, recipe: Recipe, found: dict[str, Any]) -> dict[str, Any]:
    with registry.engine.begin() as connection:
        total = count_chosen(connection, choice_of(recipe))
    return extrapolate(found, total)
