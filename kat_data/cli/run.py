"""`kat run`: a recipe over the registry's queries."""

from typing import Any

import click

from kat_data.cli.deduplicate import compare
from kat_data.cli.output import json_option, print_json, rounded, say, usd
from kat_data.cli.progress import work_on
from kat_data.cli.registry import open_registry
from kat_data.cli.report import print_report, report
from kat_data.domain.states import RunState
from kat_data.pipeline.recipe import Recipe, load_recipe, parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.pipeline.wiring import MakeClient, check_keys, make_client
from kat_data.registry import runs
from kat_data.registry.session import Registry
from kat_data.stages.deduplicate import Deduplicate


@click.command()
@click.argument("recipe")
@click.option("--preview", type=click.IntRange(min=1), help="Run only N queries and extrapolate the cost of all.")
@json_option
def run(recipe: str, preview: int | None, as_json: bool) -> None:
    """Run RECIPE (a path, or a shipped name) over the registry's queries; the same command again resumes it."""
    whole = load_recipe(recipe)
    with open_registry() as registry:
        found = run_recipe(registry, _cut(whole, preview) if preview else whole)
        if preview:
            found["extrapolated"] = _extrapolate(registry, whole, found)
    if as_json:
        print_json(found)
        return
    print_report(found)
    if preview:
        _print_extrapolation(found["extrapolated"])


def run_recipe(registry: Registry, recipe: Recipe, *, client: MakeClient = make_client) -> dict[str, Any]:
    """Open or resume the recipe's run, work on it, and return its report."""
    check_keys(recipe)
    row, new = open_run(registry, recipe)
    say(f"run {row.id} ({row.name}): {row.queries} queries" + ("" if new else f", {row.state.value} before"))
    return finish_run(registry, row, client=client)


def finish_run(registry: Registry, row: runs.RunRow, *, client: MakeClient = make_client) -> dict[str, Any]:
    """Work on a run until it is finished, and return its report; a finished run is only reported."""
    with registry.engine.begin() as connection:
        left = runs.unfinished(connection, row.id)
    if left or row.state is not RunState.FINISHED:
        if any(isinstance(stage, Deduplicate) for stage in parse_recipe(row.recipe, f"run {row.id}").stages):
            compare(registry)
        work_on(registry, row, row.queries - left, client=client)
    with registry.engine.begin() as connection:
        return report(connection, row.id)


def _cut(recipe: Recipe, limit: int) -> Recipe:
    wanted = min(limit, recipe.queries.limit or limit)
    return recipe.model_copy(update={"queries": recipe.queries.model_copy(update={"limit": wanted})})


def _extrapolate(registry: Registry, recipe: Recipe, found: dict[str, Any]) -> dict[str, Any]:
    with registry.engine.begin() as connection:
        total = runs.count_chosen(
            connection,
            sources=recipe.queries.sources,
            categories=[category.value for category in recipe.queries.categories],
            limit=recipe.queries.limit,
        )
    factor = total / found["queries"]
    guess = {
        "queries": total,
        "usd": found["cost"]["usd_used"] * factor,
        "accepted": found["accepted"] * factor,
        "tokens": (found["cost"]["prompt_tokens"] + found["cost"]["completion_tokens"]) * factor,
    }
    return rounded(guess)


def _print_extrapolation(guess: dict[str, Any]) -> None:
    say(
        f"all {guess['queries']:,} queries: about {usd(guess['usd'])}, {guess['tokens']:,.0f} tokens, "
        f"{guess['accepted']:,.0f} accepted samples"
    )
