"""A run's life: opened, opened again, concluded. The same resolved recipe over the same queries is the same run."""

from typing import Any

from sqlalchemy import Connection

from kat_data.dedup.task import RULE
from kat_data.domain.states import RunState
from kat_data.errors import UserError
from kat_data.pipeline import decontamination
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe
from kat_data.pipeline.recipe_checks import nearest
from kat_data.registry import benchmarks, runs
from kat_data.registry.session import Registry
from kat_data.stages.decontaminate import Decontaminate
from kat_data.stages.deduplicate import Deduplicate


def context(connection: Connection, recipe: Recipe) -> dict[str, Any]:
    """Return what decides the samples beside recipe and queries: the benchmarks whose items are left out.

    Raises `UserError` where the recipe names a benchmark that is not there.
    """
    found: dict[str, Any] = {}
    for stage in recipe.stages:
        if isinstance(stage, Decontaminate):
            digests = benchmarks.digests(connection, stage.benchmarks)
            if missing := [name for name in stage.benchmarks if name not in digests]:
                known = benchmarks.digests(connection, ())
                raise UserError(f"there is no benchmark `{missing[0]}`{nearest(missing[0], known)}")
            found |= {"benchmarks": digests, "decontamination": decontamination.METHOD}
        elif isinstance(stage, Deduplicate):
            found["near_duplicates"] = RULE
    return found


def check_context(connection: Connection, row: runs.RunRow, recipe: Recipe) -> None:
    """Raise `UserError` where what decides a run's samples has changed since the run was opened."""
    if context(connection, recipe) != row.context:
        raise UserError(
            f"the benchmarks, or how they are looked for, have changed since run {row.id} was opened: `kat run` opens "
            "a new run with what is there now, and pays no call twice"
        )


def open_run(registry: Registry, recipe: Recipe) -> tuple[runs.RunRow, bool]:
    """Return the run of this recipe over the registry's queries, and whether it is new."""
    plan = Plan(recipe.stages)
    # One snapshot of the queries for the key, the count and the items, whatever is imported meanwhile.
    engine = registry.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.begin() as connection:
        return runs.open_run(
            connection,
            name=recipe.name,
            recipe=recipe.resolved(),
            identity=recipe.identity(),
            first_stage=plan.first,
            sources=recipe.queries.sources,
            categories=[category.value for category in recipe.queries.categories],
            limit=recipe.queries.limit,
            context=context(connection, recipe),
            held=plan.select is not None,
            seed=recipe.seed,
            licences=recipe.queries.licences,
        )


def conclude(registry: Registry, run: int) -> runs.RunRow:
    """Leave an open run finished where every item has ended, else stopped where nobody works on it any more.

    The fleet's runs stay open, as its reapers wake others.
    """
    with registry.engine.begin() as connection:
        row = runs.get_run(connection, run)
        if row.state is not RunState.OPEN:
            pass  # cancelled or stopped meanwhile, or concluded by another worker
        elif not runs.unfinished(connection, run):
            runs.finish(connection, run)
        elif row.executor == "local" and not runs.at_work(connection, run):
            runs.set_state(connection, run, RunState.STOPPED, "interrupted")
        return runs.get_run(connection, run)


def note_stop(registry: Registry, run: int, reason: str) -> None:
    """Stop the run for everybody who works on it, and leave the reason behind; a cancelled run stays so."""
    with registry.engine.begin() as connection:
        if runs.get_run(connection, run).state is RunState.OPEN:
            runs.set_state(connection, run, RunState.STOPPED, reason)
