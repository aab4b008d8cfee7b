"""Opening runs: the same resolved recipe over the same queries is the same run."""

from typing import Any

from sqlalchemy import Connection

from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe
from kat_data.registry import benchmarks, runs
from kat_data.registry.session import Registry
from kat_data.stages.decontaminate import Decontaminate


def _context(connection: Connection, recipe: Recipe) -> dict[str, Any]:
    """Return what decides the samples beside recipe and queries: the benchmarks whose items are left out."""
    named = [stage.benchmarks for stage in recipe.stages if isinstance(stage, Decontaminate)]
    return {"benchmarks": benchmarks.digests(connection, named[0])} if named else {}


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
            context=_context(connection, recipe),
            held=plan.select is not None,
            seed=recipe.seed,
            licences=recipe.queries.licences,
        )
