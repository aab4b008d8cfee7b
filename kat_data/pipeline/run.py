"""A run's life: opened, opened again, concluded. The same resolved recipe over the same queries is the same run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg.errors import SerializationFailure
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from kat_data.dedup.task import RULE
from kat_data.errors import UserError
from kat_data.pipeline import decontamination
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe
from kat_data.pipeline.recipe_checks import nearest
from kat_data.registry import benchmarks, runs, withdrawals
from kat_data.registry.choice import Choice
from kat_data.registry.session import Registry
from kat_data.stages.decontaminate import Decontaminate
from kat_data.stages.deduplicate import Deduplicate
from kat_data.verifiers.dispatch import NAMES

_PARTS = {
    "benchmarks": "the benchmarks",
    "decontamination": "how benchmarks are looked for",
    "near_duplicates": "what counts as a near-duplicate",
    "verifiers": "the verifiers",
}
"""The parts of a run's context, and what people call them."""


def context(connection: Connection, recipe: Recipe) -> dict[str, Any]:
    """Return what decides the samples beside recipe and queries, under the names of `_PARTS`.

    The contents of the benchmarks whose items are left out, and the versions of the rules by which likeness and answers
    are judged. Raises `UserError` where the recipe names a benchmark that is not there.
    """
    found: dict[str, Any] = {}
    for stage in recipe.stages:
        if isinstance(stage, Decontaminate):
            found["benchmarks"] = _digests(connection, stage.benchmarks)
            found["decontamination"] = decontamination.METHOD
        elif isinstance(stage, Deduplicate):
            found["near_duplicates"] = RULE
    if kinds := {kind for stage in recipe.stages for kind in stage.verifiers}:
        found["verifiers"] = {kind.value: NAMES[kind] for kind in sorted(kinds)}
    return found


def check_context(connection: Connection, row: runs.RunRow, recipe: Recipe) -> None:
    """Raise `UserError` where what decides a run's samples has changed since the run was opened; it names what."""
    if changed := list(_changes(row.context, context(connection, recipe))):
        raise UserError(
            f"{' and '.join(changed)} have changed since run {row.id} was opened: `kat run` opens a new run with what "
            "is there now, and pays no call twice"
        )


def missing_benchmarks(connection: Connection, recipe: Recipe) -> list[str]:
    """Return a sentence for every benchmark that the recipe leaves out and that the registry lacks."""
    found = []
    for stage in recipe.stages:
        if isinstance(stage, Decontaminate):
            known = benchmarks.names(connection)
            found += [_missing(name, known) for name in stage.benchmarks if name not in known]
            if not known and not stage.benchmarks:
                found.append(f"there is no benchmark yet: {_IMPORT.format(name='NAME')}")
    return found


_IMPORT = "`kat benchmarks import {name} FILE --preset PRESET` imports it"


def _missing(name: str, known: Sequence[str]) -> str:
    hint = nearest(name, known) if known else ""
    return f"there is no benchmark `{name}`{hint}" + ("" if hint.endswith("?") else f": {_IMPORT.format(name=name)}")


def _digests(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    digests = benchmarks.digests(connection, names)
    if missing := [name for name in names if name not in digests]:
        raise UserError(_missing(missing[0], benchmarks.names(connection)))
    return digests


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for part, words in _PARTS.items():
        match before.get(part), now.get(part):
            case old, new if old == new:
                pass
            case dict() as old, dict() as new:
                yield f"{words} ({', '.join(sorted(name for name in old | new if old.get(name) != new.get(name)))})"
            case _:
                yield words


def open_run(registry: Registry, recipe: Recipe) -> tuple[runs.RunRow, bool]:
    """Return the run of this recipe over the registry's queries, and whether it is new."""
    while True:
        try:
            return _open_run(registry, recipe)
        except (SerializationFailure, OperationalError) as error:
            if not isinstance(getattr(error, "orig", error), SerializationFailure):
                raise
            # Another process has just opened the same run: look again.


def _open_run(registry: Registry, recipe: Recipe) -> tuple[runs.RunRow, bool]:
    plan = Plan(recipe.stages)
    # One snapshot of the queries for the key, the count and the items, whatever is imported meanwhile.
    engine = registry.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.begin() as connection:
        withdrawals.hold(connection)
        wanted = runs.WantedRun(
            name=recipe.name,
            recipe=recipe.resolved(),
            identity=recipe.identity(),
            first_stage=plan.first,
            context=context(connection, recipe),
            held=plan.select is not None,
            seed=recipe.seed,
        )
        return runs.open_run(connection, wanted, choice_of(recipe))


def choice_of(recipe: Recipe) -> Choice:
    """Return which of the registry's queries a run of the recipe takes."""
    wanted = recipe.queries
    return Choice(
        sources=wanted.sources,
        categories=[category.value for category in wanted.categories],
        licences=wanted.licences,
        limit=wanted.limit,
    )


def conclude(registry: Registry, run: int) -> runs.RunRow:
    """Leave an open run finished where every item has ended, else stopped where nobody works on it any more.

    The fleet's runs stay open, as its reapers wake others. One that was cancelled or stopped meanwhile stays so.
    """
    with registry.engine.begin() as connection:
        if not runs.finish(connection, run):
            runs.stop_left(connection, run)
        return runs.get_run(connection, run)


def note_stop(registry: Registry, run: int, error: Exception) -> None:
    """Stop the run for everybody who works on it, and leave the reason behind; a cancelled run stays so."""
    with registry.engine.begin() as connection:
        runs.stop(connection, run, error)


def left_to_others(registry: Registry, run: int) -> bool:
    """Whether other workers are at work on the run; of several that ask at their end, the last hears that none is."""
    with registry.engine.connect() as connection:
        return runs.at_work(connection, run)
