"""Runs of the fleet: handed over to it, and what there is to do on them."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection

from kat_data.errors import RecipeError
from kat_data.logs import note
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.pipeline.run import check_context
from kat_data.registry import claims, runs
from kat_data.registry.session import Registry
from kat_data.stages.stage import Kind

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A run on which workers that serve `kind` can do something now."""

    run: int
    kind: Kind


def hand_over(registry: Registry, row: runs.RunRow, recipe: Recipe) -> Kind:
    """Open a run to the fleet, and return the kind of its first stage.

    Raises `UserError` where what decides its samples has changed since it was opened.
    """
    with registry.engine.begin() as connection:
        check_context(connection, row, recipe)
        runs.open_to(connection, row.id, "celery")
    return recipe.stages[0].kind


def work_left(registry: Registry, kinds: Collection[Kind]) -> list[Work]:
    """Free what dead workers held, and return what the fleet's runs have to do for workers that serve `kinds`."""
    with registry.engine.begin() as connection:
        connection.exec_driver_sql(claims.FREE_DEAD)
    found: list[Work] = []
    with registry.engine.connect() as connection:
        for run, recipe in connection.exec_driver_sql(claims.OPEN_TO_FLEET).all():
            try:
                plan = Plan(parse_recipe(recipe, f"run {run}").stages)
            except RecipeError as error:  # of another version: others may read it
                _note_unreadable(run, str(error))
            else:
                found += _work_of(connection, run, plan, kinds)
    return found


@lru_cache(maxsize=1024)
def _note_unreadable(run: int, reason: str) -> None:
    """Write one line for each run, however often it is looked at."""
    note(_log, logging.ERROR, "run.unreadable", run=run, reason=reason)


def _work_of(connection: Connection, run: int, plan: Plan, kinds: Collection[Kind]) -> list[Work]:
    asked = {"run": run, "stages": list(plan.of_kinds(kinds))}
    names = set(connection.exec_driver_sql(claims.CLAIMABLE_STAGES, asked).scalars())
    found = {stage.kind for stage in plan.stages if stage.name in names}
    if not found and not connection.exec_driver_sql(claims.ANY_READY, {"run": run}).scalar_one():
        found = {next(kind for kind in Kind if kind in kinds)}  # a round is due, or the run's end
    return [Work(run=run, kind=kind) for kind in Kind if kind in found]
