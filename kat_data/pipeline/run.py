"""Opening runs: the same resolved recipe over the same queries is the same run."""

from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe
from kat_data.registry import runs
from kat_data.registry.session import Registry


def open_run(registry: Registry, recipe: Recipe) -> tuple[runs.RunRow, bool]:
    """Return the run of this recipe over the registry's queries, and whether it is new."""
    # One snapshot of the queries for the key, the count and the items, whatever is imported meanwhile.
    engine = registry.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.begin() as connection:
        return runs.open_run(
            connection,
            name=recipe.name,
            recipe=recipe.resolved(),
            identity=recipe.identity(),
            first_stage=Plan(recipe.stages).first,
            sources=recipe.queries.sources,
            categories=[category.value for category in recipe.queries.categories],
            limit=recipe.queries.limit,
            licences=recipe.queries.licences,
        )
