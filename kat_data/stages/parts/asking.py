"""Asking the members of a role: all of them side by side, or one after another until one gives a usable reply."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kat_data.domain.query import Message
from kat_data.errors import BadReply, RecipeError
from kat_data.llm.model import Model, Structure
from kat_data.stages.stage import Tools

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion(Generic[Structure]):
    """What one model replied; `calls` are the ledger keys, hex, of every call made for it, the usable one last."""

    model: str
    value: Structure
    calls: tuple[str, ...]


def members(tools: Tools, role: str) -> tuple[Model, ...]:
    """Return the models of `role`; raises `RecipeError` where the recipe names none."""
    models = tools.models.get(role, ())
    if not models:
        raise RecipeError(f"a stage needs the role {role!r}: name at least one model for it in the recipe's roles")
    return models


def whose_turn(models: Sequence[Model], position: int) -> tuple[Model, int]:
    """Return who draws at `position`, as the models take turns, and the index of the draw.

    A model that is listed twice draws twice: one of its answers must not be paid once and counted as two.
    """
    rounds, place = divmod(position, len(models))
    name = models[place].name
    times = sum(model.name == name for model in models)
    return models[place], rounds * times + _occurrence(models, place)


async def ask_all(
    models: Sequence[Model], messages: Sequence[Message], schema: type[Structure]
) -> tuple[Opinion[Structure], ...]:
    """Ask every model side by side; those that give no usable reply are left out."""
    asked = (_ask(model, messages, schema, _occurrence(models, i)) for i, model in enumerate(models))
    return tuple(opinion for opinion in await all_settled(asked) if opinion)


async def ask_first(
    models: Sequence[Model], messages: Sequence[Message], schema: type[Structure], *, sample: int = 0
) -> Opinion[Structure] | None:
    """Ask one model after another; return the first usable reply, none where no model gives one."""
    for i, model in enumerate(models):
        if opinion := await _ask(model, messages, schema, sample + _occurrence(models, i)):
            return opinion
    return None


async def all_settled(tasks: Iterable[Awaitable[Result]]) -> tuple[Result, ...]:
    """Await all side by side; an exception is raised only once every one has ended, so that none runs on unseen."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return tuple(result for result in results if not isinstance(result, BaseException))


async def _ask(
    model: Model, messages: Sequence[Message], schema: type[Structure], sample: int
) -> Opinion[Structure] | None:
    try:
        reply = await model.ask(messages, schema, sample=sample)
    except BadReply:
        return None
    return Opinion(model=model.name, value=reply.value, calls=reply.calls)


def _occurrence(models: Sequence[Model], position: int) -> int:
    """A model that is listed twice draws twice, instead of paying one key once and counting it double."""
    return sum(model.name == models[position].name for model in models[:position])
