"""Normalise a query's messages, and refuse queries that no run can answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.query import NEVER_LEFT_OUT, Message, Role, VerifierKind
from kat_data.domain.template import unholdable
from kat_data.domain.text import damage, normalise
from kat_data.domain.tool import tool_problem
from kat_data.stages.stage import Kind, Stage, Tools


class Normalise(Stage):
    """Bring every message into NFC with clean white space.

    Drops what is empty, damaged, overlong or tagged, tools that no model could call, and code tasks whose own reference
    fails: before anything is paid for them.
    """

    name: ClassVar[str] = "normalise"
    kind: ClassVar[Kind] = Kind.CPU
    verifiers: ClassVar[tuple[VerifierKind, ...]] = (VerifierKind.CODE,)
    per_turn: ClassVar[bool] = False

    max_chars: int = Field(20_000, ge=1, description="The longest query that is kept, in characters over all messages.")

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        if dropped := _damaged(draft.query.messages):  # before normalising removes the traces
            return dropped
        messages = tuple(replace(m, content=normalise(m.content)) for m in draft.query.messages)
        messages = tuple(m for m in messages if m.content or m.tool_calls or m.role in NEVER_LEFT_OUT)
        if dropped := self._refuse(messages) or _unusable_tool(draft.query.tools):
            return dropped
        if why := await tools.admit(draft.query):
            return Dropped(reason=DropReason.INVALID_TASK, detail=why)
        return replace(draft, query=replace(draft.query, messages=messages))

    def _refuse(self, messages: Sequence[Message]) -> Dropped | None:
        users = [m for m in messages if m.role is Role.USER]
        if not users:
            return Dropped(reason=DropReason.NO_USER_TURN)
        if not all(m.content for m in users):
            return Dropped(reason=DropReason.EMPTY_QUERY)
        if (length := sum(len(m.content) for m in messages)) > self.max_chars:
            detail = f"{length:,} characters, the recipe allows {self.max_chars:,}"
            return Dropped(reason=DropReason.TOO_LONG, detail=detail)
        for number, message in enumerate(messages, start=1):
            if why := unholdable(message.content):
                return Dropped(reason=DropReason.RESERVED_TAG, detail=f"message {number} {why}")
        return None


def _damaged(messages: Sequence[Message]) -> Dropped | None:
    for number, message in enumerate(messages, start=1):
        if why := damage(message.content):
            return Dropped(reason=DropReason.DAMAGED_TEXT, detail=f"message {number} {why}")
    return None


def _unusable_tool(tools: Sequence[Any]) -> Dropped | None:
    problem = next(filter(None, map(tool_problem, tools)), None)
    return Dropped(reason=DropReason.TOOL_WITHOUT_SCHEMA, detail=problem) if problem else None
