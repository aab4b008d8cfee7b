"""What has to hold between the parts of a recipe: names lead somewhere, stages fit together, a snapshot can be made.

Each check takes one part and the sound ones `earlier` in the recipe, and yields a sentence for every problem.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from kat_data.domain.category import Category
from kat_data.pipeline.recipe_parts import ModelSpec, OutputSpec, QuerySpec, Roles
from kat_data.stages.stage import Stage

ROLES = (
    "taggers",
    "voters",
    "responder",
    "reasoner",
    "solver",
    "thinker",
    "critic",
    "judge",
    "panel",
    "planner",
    "coder",
    "reviewer",
    "environment",
)
# What a snapshot cannot do without: where accepted answers, or their judge analyses, come from.
_LAST_STAGE = {
    "stage1": ("verify", "add it"),
    "stage2": ("judge_mode", "add it, or set snapshot.stage: stage1"),
}

Value = TypeVar("Value")


def model_problems(models: Mapping[str, ModelSpec], earlier: Mapping[str, Any]) -> Iterator[str]:
    """Every model names an endpoint."""
    for key, model in models.items():
        if "endpoints" in earlier and model.endpoint not in earlier["endpoints"]:
            hint = nearest(model.endpoint, earlier["endpoints"])
            yield f"model `{key}`: unknown endpoint `{model.endpoint}`{hint}"


def role_problems(roles: Roles, earlier: Mapping[str, Any]) -> Iterator[str]:
    """Every role is known, and its members name models."""
    for role, members in roles.items():
        if role not in ROLES:
            yield f"unknown role `{role}`{nearest(role, ROLES)}"
        for member in members:
            if "models" in earlier and member.model not in earlier["models"]:
                yield f"role `{role}`: unknown model `{member.model}`{nearest(member.model, earlier['models'])}"


def stage_problems(stages: Sequence[Stage], earlier: Mapping[str, Any]) -> Iterator[str]:
    """Every stage has the roles and the earlier stages that it needs, and a snapshot can be made in the end."""
    names = [stage.name for stage in stages]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"stage `{name}` stands twice"
    for stage in stages:
        behind = names[names.index(stage.name) + 1 :]
        for group in stage.follows:
            if not set(group) & set(names):
                yield f"stage `{stage.name}` needs the stage {_either(group)} before it"
            for name in group:
                if name in behind:
                    yield f"stage `{stage.name}` stands before `{name}`: put it behind"
        for role in stage.needed_roles():
            if "roles" in earlier and not earlier["roles"].get(role):
                yield f"stage `{stage.name}` needs the role `{role}`: add it under `roles`"
    if "snapshot" in earlier and "queries" in earlier:
        yield from _snapshot_problems(stages, earlier["snapshot"], earlier["queries"])


def _snapshot_problems(stages: Sequence[Stage], snapshot: OutputSpec, queries: QuerySpec) -> Iterator[str]:
    name, advice = _LAST_STAGE[snapshot.stage]
    last = next((stage for stage in stages if stage.name == name), None)
    if last is None:
        yield f"a {snapshot.stage} snapshot needs the stage {name}: {advice}"
    elif missed := [category for category in queries.categories or Category if not last.serves(category)]:
        yield (
            f"a {snapshot.stage} snapshot needs the stage {name} for {', '.join(missed)} too: "
            "widen its `only`, or leave them out of queries.categories"
        )


def _either(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def sound(value: Value, problems: Iterable[str]) -> Value:
    """Return `value`, or raise one error that says all its problems."""
    if found := list(problems):
        raise sentences(found)
    return value


def sentences(lines: Iterable[str]) -> PydanticCustomError:
    """Return an error of whole sentences, one a line, that say themselves where they belong."""
    return PydanticCustomError("sentences", "{lines}", {"lines": "\n".join(lines)})


def nearest(word: Any, known: Iterable[str]) -> str:
    """Return the end of a line about an unknown `word`: the nearest name that is known, or all of them."""
    names = list(known)
    matches = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    return f": did you mean `{matches[0]}`?" if matches else f" (known are: {', '.join(names)})"
