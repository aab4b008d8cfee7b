"""The endpoints of a recipe, asked as `kat models check` asks them."""

import asyncio
from collections.abc import Iterator

from kat_data.doctor.finding import Finding, fail, ok, warn
from kat_data.errors import RecipeError
from kat_data.llm.check import Check
from kat_data.pipeline.endpoint_check import check_models
from kat_data.pipeline.recipe import Recipe

_PATIENCE = 15.0  # for each of at most four small questions to one model


def look_at_endpoints(recipe: Recipe) -> Iterator[Finding]:
    """Whether every model of the recipe gives an answer; a few tokens of each are paid."""
    try:
        checks = asyncio.run(check_models(recipe, patience=_PATIENCE))
    except RecipeError as error:
        yield fail("endpoints", str(error), "export the key, and look again")
        return
    for check in checks:
        yield _finding(check)


def _finding(check: Check) -> Finding:
    name = f"model {check.model}"
    if not check.usable:
        return fail(
            name, f"endpoint {check.endpoint}: {check.problem}", "mend it before a run: `kat models check` shows more"
        )
    if check.problem == "recorded":
        return ok(name, f"endpoint {check.endpoint} answers from a recording")
    answered = f"endpoint {check.endpoint} answers" + (
        f" in {check.seconds:.2f} s" if check.seconds is not None else ""
    )
    if check.problem:
        return warn(name, f"{answered}, but {check.problem}", "serve it with structured outputs where it can")
    return ok(name, answered)
