"""Queries that a run dropped because no sandbox could run their programs are taken up again once there is one."""

from collections.abc import Callable
from contextlib import suppress

from kat_data.domain.states import RunState
from kat_data.errors import SandboxMissing
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import check_context
from kat_data.registry import runs, unverified
from kat_data.registry.session import Registry
from kat_data.sandbox.base import Sandbox


def take_up_unverified(registry: Registry, run: runs.RunRow, isolates: Callable[[], bool]) -> int:
    """Let what the run could not verify start again if programs can be verified now; return how many queries.

    They go through every stage as in a new run, in a mixture from its entry on; the ledger answers what was asked
    before. Raises `UserError` where what decides the run's samples has changed.
    """
    with registry.engine.begin() as connection:
        if not unverified.count(connection, run.id):
            return 0
    if not isolates():
        return 0
    recipe = parse_recipe(run.recipe, f"run {run.id}")
    plan = Plan(recipe.stages)
    with registry.engine.begin() as connection:
        check_context(connection, run, recipe)
        restarted = unverified.restart(connection, run.id, stage=plan.first, held=plan.select is not None)
        runs.set_state(connection, run.id, RunState.OPEN)
    return restarted


def isolates(open_sandbox: Callable[[], Sandbox | None]) -> bool:
    """Whether programs can be verified here; one that was asked for and is missing is no reason to show no report."""
    with suppress(SandboxMissing):
        if (sandbox := open_sandbox()) is not None:
            sandbox.close()
            return sandbox.trusted
    return False
