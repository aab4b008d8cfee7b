"""What has to hold between the parts of a recipe: names lead somewhere, stages fit together, a snapshot can be made.

Each check takes one part and the sound ones `earlier` in the recipe, and yields a sentence for every problem.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from kat_data.domain.call import Api
from kat_data.domain.category import Category
from kat_data.pipeline.recipe_parts import MemberSpec, ModelSpec, OutputSpec, QuerySpec, Roles
from kat_data.stages.pass_rate import MeasurePassRate
from kat_data.stages.select import Select
from kat_data.stages.stage import Stage

ROLES = (
    "taggers",
    "labellers",
    "voters",
    "responder",
    "reasoner",
    "solver",
    "thinker",
    "critic",
    "judge",
    "panel",
    "policy",
    "rewarder",
    "paraphraser",
    "embedder",
    "planner",
    "coder",
    "reviewer",
    "environment",
)
POLICY = "policy"
# What a snapshot cannot do without: where accepted answers, or their judge analyses, come from.
_LAST_STAGE = {
    "stage1": ("verify", "add it"),
    "stage2": ("judge_mode", "add it, or set snapshot.stage: stage1"),
    "stage3": ("pair", "add it as the last"),
}

KNOWN_AFTER: Mapping[str, tuple[str, ...]] = {
    "difficulty": ("tag",),
    "domain": ("tag",),
    "mode": ("vote_mode", "route_mode", "measure_mode"),
    "pass_rate": ("pass_rate",),
}
"""The stages that tell a label by which mixtures are made."""

Value = TypeVar("Value")


def model_problems(models: Mapping[str, ModelSpec], earlier: Mapping[str, Any]) -> Iterator[str]:
    """Every model names an endpoint."""
    for key, model in models.items():
        if "endpoints" in earlier and model.endpoint not in earlier["endpoints"]:
            hint = nearest(model.endpoint, earlier["endpoints"])
            yield f"model `{key}`: unknown endpoint `{model.endpoint}`{hint}"


def role_problems(roles: Roles, earlier: Mapping[str, Any]) -> Iterator[str]:
    """Every role is known, also as `role.category`, and its members name models."""
    for role, members in roles.items():
        base, _, category = role.partition(".")
        if base not in ROLES:
            yield f"unknown role `{role}`{nearest(base, ROLES)}"
        elif category and category not in set(Category):
            yield f"role `{role}`: unknown category `{category}`{nearest(category, Category)}"
        elif category and not roles.get(base):
            yield f"role `{role}`: add `{base}`, too, for the other categories"
        if base == POLICY and len(members) > 1:
            yield f"role `{role}` holds one model: measure another checkpoint in a run of its own"
        if base == "embedder" and len(members) != 1:
            yield f"role `embedder` holds one model, and not {len(members)}: embeddings of two cannot be compared"
        for member in members if "models" in earlier else ():
            yield from _member_problems(role, base, member, earlier["models"])
            yield from _batch_problems(role, member, earlier)
            yield from _provider_problems(role, base, member, earlier)


def _member_problems(role: str, base: str, member: MemberSpec, models: Mapping[str, ModelSpec]) -> Iterator[str]:
    model = models.get(member.model)
    if model is None:
        yield f"role `{role}`: unknown model `{member.model}`{nearest(member.model, models)}"
    elif base == POLICY and not model.revision:
        yield (
            f"role `{role}`: model `{member.model}` has no revision: set models.{member.model}.revision to its "
            "checkpoint's hash, or pass rates would go stale in silence"
        )
    elif model.api is not Api.CHAT and base != (only := "embedder" if model.api is Api.EMBEDDINGS else "rewarder"):
        yield f"role `{role}`: model `{member.model}` has the api {model.api}: only `{only}` can have it"


def _batch_problems(role: str, member: MemberSpec, earlier: Mapping[str, Any]) -> Iterator[str]:
    model = earlier["models"].get(member.model)
    if member.mode != "batch" or model is None:
        return
    if model.api is not Api.CHAT:
        yield f"role `{role}`: model `{member.model}` has the api {model.api}, and only chats go in batches"
    endpoint = earlier.get("endpoints", {}).get(model.endpoint)
    if endpoint is not None and not endpoint.has_batches and endpoint.recording is None:
        yield (
            f"role `{role}`: endpoint `{model.endpoint}` ({endpoint.provider}) has no Batch API: take `mode: batch` "
            "away, or set its provider to openai or anthropic"
        )


def _provider_problems(role: str, base: str, member: MemberSpec, earlier: Mapping[str, Any]) -> Iterator[str]:
    model = earlier["models"].get(member.model)
    endpoint = earlier.get("endpoints", {}).get(model.endpoint) if model is not None else None
    if endpoint is None or endpoint.provider == "openai" or endpoint.recording is not None:
        return
    if base == "embedder" or model.api is not Api.CHAT:
        yield f"role `{role}`: endpoint `{model.endpoint}` ({endpoint.provider}) serves chats alone: take another"


def stage_problems(stages: Sequence[Stage], earlier: Mapping[str, Any]) -> Iterator[str]:
    """Every stage has the roles and the earlier stages that it needs, and a snapshot can be made in the end."""
    names = [stage.name for stage in stages]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"stage `{name}` stands twice"
    for stage in stages:
        place = names.index(stage.name)
        before, behind = names[:place], names[place + 1 :]
        for group in stage.follows:
            if not set(group) & set(names):
                yield f"stage `{stage.name}` needs the stage {_either(group)} before it"
            for name in group:
                if name in behind:
                    yield f"stage `{stage.name}` stands before `{name}`: put it behind"
        for name in stage.precedes:
            if name in before:
                yield f"stage `{stage.name}` stands behind `{name}`: put it before"
        for role in stage.needed_roles():
            if "roles" in earlier and not earlier["roles"].get(role):
                yield f"stage `{stage.name}` needs the role `{role}`: add it under `roles`"
    for stage in stages:
        if isinstance(stage, Select):
            yield from _select_problems(stage, names)
            yield from _switches_problems(stage, earlier.get("snapshot"))
    yield from _rollout_problems(stages, earlier.get("roles", {}))
    if "snapshot" in earlier and "queries" in earlier:
        yield from _snapshot_problems(stages, earlier["snapshot"], earlier["queries"])


def _select_problems(select: Select, names: Sequence[str]) -> Iterator[str]:
    """A set stage stands between others, behind those that tell what its strata ask for."""
    place = names.index(select.name)
    if place in (0, len(names) - 1):
        yield f"stage `{select.name}` stands between others: put `normalise` before it, and what answers behind it"
    for dimension in sorted(select.dimensions & set(KNOWN_AFTER)):
        group = KNOWN_AFTER[dimension]
        if not set(group) & set(names[:place]):
            yield f"stage `{select.name}` asks for {dimension}: put the stage {_either(group)} before it"
        yield from (
            f"stage `{select.name}` asks for {dimension} and stands before `{name}`: put it behind"
            for name in group
            if name in names[place:]
        )


def _switches_problems(select: Select, snapshot: OutputSpec | None) -> Iterator[str]:
    """How modes go on is known of whole conversations alone, and is told by rows of stage 2 alone."""
    if "switches" in select.dimensions:
        yield f"stage `{select.name}`: `responses` cannot ask for switches, which nobody knows before the answers"
    if "switches" in select.mixture.dimensions and snapshot is not None and snapshot.stage != "stage2":
        yield f"stage `{select.name}` asks for switches, which rows of a {snapshot.stage} snapshot do not hold"


def _rollout_problems(stages: Sequence[Stage], roles: Roles) -> Iterator[str]:
    several = any(isinstance(stage, MeasurePassRate) and stage.k > 1 for stage in stages)
    if several and any(member.temperature == 0 for member in roles.get(POLICY, ())):
        yield f"role `{POLICY}`: at temperature 0 every rollout is the same: set one above 0, as in training"


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
