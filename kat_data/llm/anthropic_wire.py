"""Anthropic's Messages format: requests as bodies, bodies as replies; no network here.

A JSON Schema is asked for as the input of a tool that the model has to call: every model that takes tools obeys it.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import orjson

from kat_data.domain.call import CallRequest, FinishReason, Reply, Usage
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall, call_id
from kat_data.llm.http import readable
from kat_data.llm.reply_parts import text_of, tool_call_of

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
_FORM = "reply"  # the tool whose input is the structure that is asked for
_PROMPT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def message_body(request: CallRequest) -> bytes:
    """Serialise `request` as the body of POST /messages; there is no seed, and `top_p` is sent only where it is set."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "messages": _turns(request.messages),
    }
    if system := "\n\n".join(message.content for message in request.messages if message.role is Role.SYSTEM):
        body["system"] = system
    if sampling.top_p != 1.0:
        body["top_p"] = sampling.top_p
    if request.schema is not None:
        body["tools"] = [{"name": _FORM, "description": "Give the reply.", "input_schema": request.schema}]
        body["tool_choice"] = {"type": "tool", "name": _FORM}
    elif request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    return orjson.dumps(body)


@readable
def read_message(document: Any, request: CallRequest) -> Reply:
    """Read a decoded message; raises `ValueError` where it is none."""
    blocks = document["content"]
    texts = [text_of(block["text"]) for block in blocks if block["type"] == "text"]
    thoughts = [text_of(block["thinking"]) for block in blocks if block["type"] == "thinking"]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    finish = _FINISH.get(str(document["stop_reason"]), FinishReason.OTHER)
    usage = document["usage"]
    tokens = sum(usage.get(name) or 0 for name in _PROMPT_COUNTS)
    if request.schema is not None and calls:
        texts, calls = [orjson.dumps(calls[0]["input"]).decode()], []
        finish = FinishReason.STOP if finish is FinishReason.TOOL_CALLS else finish
    tool_calls: tuple[ToolCall, ...] = ()
    try:
        tool_calls = tuple(tool_call_of(call["name"], call["input"]) for call in calls)
    except TypeError:  # kept as text, as with OpenAI's: it shows why the reply is malformed
        texts = texts or [text_of(orjson.dumps(calls).decode())]
    return Reply(
        text="".join(texts),
        finish_reason=finish,
        usage=Usage(prompt_tokens=tokens, completion_tokens=usage["output_tokens"]),
        reasoning="\n".join(thoughts),
        tool_calls=tool_calls,
    )


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as Anthropic has them: calls and results are blocks, and results stand in turns of the user."""
    turns: list[dict[str, Any]] = []
    waiting: deque[str] = deque()
    for place, message in enumerate(messages):
        if message.role is Role.SYSTEM:
            continue
        if message.role is Role.TOOL:
            ident = waiting.popleft() if waiting else call_id(place, 0)
            block = {"type": "tool_result", "tool_use_id": ident, "content": message.content}
            if turns and turns[-1]["role"] == "user" and isinstance(turns[-1]["content"], list):
                turns[-1]["content"].append(block)
            else:
                turns.append({"role": "user", "content": [block]})
            continue
        waiting = deque(call_id(place, number) for number, _ in enumerate(message.tool_calls))
        turns.append({"role": message.role.value, "content": _content(message, list(waiting))})
    return turns


def _content(message: Message, idents: Sequence[str]) -> str | list[dict[str, Any]]:
    if not message.tool_calls:
        return message.content
    text = [{"type": "text", "text": message.content}] if message.content.strip() else []
    calls = [
        {"type": "tool_use", "id": ident, "name": call.name, "input": call.arguments}
        for ident, call in zip(idents, message.tool_calls, strict=True)
    ]
    return [*text, *calls]


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function", tool)
    made = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    return made | ({"description": function["description"]} if function.get("description") else {})
