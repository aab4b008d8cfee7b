"""An emulated environment: a model gives the results that the tools would give (§4.1.2)."""

from typing import Any

import orjson

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.history import as_text, calls_as_text, is_recorded
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.arguments import refusal
from kat_data.stages.parts.asking import ask_first, members
from kat_data.stages.parts.replies import EmulatedReply, tool_function
from kat_data.stages.stage import Tools

_KNOWN_CHARS = 6_000


class Emulation:
    """Makes up results in the order of the calls, each in sight of all before it.

    A call that the tool's schema refuses gets an error, as of a real function, and no model is asked. Results that a
    source's conversation holds without their calls are told to the model, so that it gives those.
    """

    def knows(self, draft: Draft) -> bool:
        return bool(draft.query.tools) and not is_recorded(draft.query.messages)

    async def observe(self, draft: Draft, tools: Tools) -> tuple[str, ...] | Dropped:
        """Return one result a call, as JSON."""
        candidate = draft.accepted_candidate
        assert candidate is not None
        said = Message(role=Role.ASSISTANT, content=candidate.answer, tool_calls=candidate.tool_calls)
        conversation = (*draft.conversation, said)
        results: list[str] = []
        for call in candidate.tool_calls:
            result = await self._result(call, draft, tools, conversation)
            if result is None:
                return Dropped(reason=DropReason.NO_RESULT, detail=call.name)
            results.append(result)
            conversation = (*conversation, Message(role=Role.TOOL, content=result))
        return tuple(results)

    async def _result(
        self, call: ToolCall, draft: Draft, tools: Tools, conversation: tuple[Message, ...]
    ) -> str | None:
        if why := refusal(call, draft.tools):
            return _as_json({"error": why})
        function = next(f for f in map(tool_function, draft.tools) if f["name"] == call.name)
        messages = load_prompt("emulate.v1").messages(
            tool=_as_json(function),
            known=known(draft),
            conversation=as_text(conversation),
            call=calls_as_text("", [call]),
        )
        opinion = await ask_first(members(tools, "environment"), messages, EmulatedReply)
        return _as_json(opinion.value.result) if opinion else None


def known(draft: Draft) -> str:
    """Return the hidden state: the reference, where no verifier needs it, and results that the source holds.

    Both are cut to what a prompt can bear.
    """
    state = [draft.query.reference] if draft.query.reference and draft.query.verifier is None else []
    results = [m.content for m in draft.query.messages if m.role is Role.TOOL and m.content]
    return "\n".join([*state, *results])[:_KNOWN_CHARS]


def _as_json(value: Any) -> str:
    return orjson.dumps(value).decode()
