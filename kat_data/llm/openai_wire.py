"""The OpenAI chat format: requests as bodies, bodies as replies; no network here."""

import json
import re
from collections import deque
from collections.abc import Sequence
from typing import Any

import orjson

from kat_data.domain.call import CallRequest, FinishReason, Reply, Usage
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall, call_id
from kat_data.llm.reply_parts import text_of, tool_call_of

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_ATTEMPT_STRIDE = 1_000_003
_SEEDS = 2**31
_CHARS_PER_TOKEN = 4
_THINK_OPEN, _THINK_CLOSE = "<think>", "</think>"


def request_body(request: CallRequest, *, stream: bool = False) -> bytes:
    """Serialise `request` as the body of POST /chat/completions."""
    body = chat_fields(request)
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(body)


def chat_fields(request: CallRequest) -> dict[str, Any]:
    """Return `request` as OpenAI's fields."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": request.model,
        "messages": wire_messages(request.messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if (seed := seed_of(request)) is not None:
        body["seed"] = seed
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.schema is not None:
        body["response_format"] = _response_format(request.schema)
    return body


def seed_of(request: CallRequest) -> int | None:
    """Return the seed to send: the base plus the sample index, moved far away at each further attempt.

    An attempt follows a bad reply, and the same seed would draw the same bad reply again.
    """
    base = request.sampling.seed
    return None if base is None else (base + request.sample + request.attempt * _ATTEMPT_STRIDE) % _SEEDS


def read_reply(document: Any, request: CallRequest) -> Reply:
    """Read a decoded response body; raises `ValueError` where it is no chat completion."""
    try:
        choice = document["choices"][0]
        message = choice["message"]
        content = message.get("content")
        raw_calls = message.get("tool_calls")
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError("the body is no chat completion") from error
    text = text_of(content)
    reasoning = text_of(message.get("reasoning_content")) or text_of(message.get("reasoning"))
    if not reasoning:
        reasoning, text = split_thinking(text)
    finish = _FINISH.get(text_of(choice.get("finish_reason")), FinishReason.OTHER)
    tool_calls: tuple[ToolCall, ...] = ()
    if raw_calls:
        try:
            tool_calls = tuple(_tool_call(call) for call in raw_calls)
        except (AttributeError, KeyError, TypeError, ValueError):
            # Kept as text: a reply that ends with `tool_calls` and has none is malformed, and this shows why.
            text = text or text_of(json.dumps(raw_calls, ensure_ascii=False, separators=(",", ":")))
        finish = finish if finish is FinishReason.LENGTH else FinishReason.TOOL_CALLS
    return Reply(
        text=text,
        finish_reason=finish,
        usage=_usage(document.get("usage"), request, reasoning, text),
        reasoning=reasoning,
        tool_calls=tool_calls,
    )


def split_thinking(text: str) -> tuple[str, str]:
    """Split a leading `<think>…</think>` from `text` into (thinking, rest); without its end, all of it is thinking."""
    stripped = text.lstrip()
    if not stripped.startswith(_THINK_OPEN):
        return "", text
    thinking, _, rest = stripped.removeprefix(_THINK_OPEN).partition(_THINK_CLOSE)
    return thinking.strip(), rest.lstrip()


def wire_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages in OpenAI's fields; the ids of calls are made from their places, and results refer to them."""
    made: list[dict[str, Any]] = []
    waiting: deque[dict[str, Any]] = deque()
    for place, message in enumerate(messages):
        fields: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.role is Role.TOOL and waiting:
            call = waiting.popleft()
            fields |= {"tool_call_id": call["id"], "name": call["function"]["name"]}
        elif message.role is not Role.TOOL:
            waiting = deque(_sent_call(call, place, number) for number, call in enumerate(message.tool_calls))
            fields |= {"tool_calls": list(waiting)} if waiting else {}
        made.append(fields)
    return made


def _sent_call(call: ToolCall, place: int, number: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()}
    return {"id": call_id(place, number), "type": "function", "function": function}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return tool if "function" in tool else {"type": "function", "function": tool}


def _response_format(schema: dict[str, Any]) -> dict[str, Any]:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title", "reply")))[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def _tool_call(raw: Any) -> ToolCall:
    function = raw["function"]
    arguments = function.get("arguments") or "{}"
    if isinstance(arguments, str):
        arguments = orjson.loads(arguments)
    return tool_call_of(function["name"], arguments)


def _usage(raw: Any, request: CallRequest, reasoning: str, text: str) -> Usage:
    try:
        return Usage(prompt_tokens=int(raw["prompt_tokens"]), completion_tokens=int(raw["completion_tokens"]))
    except (KeyError, TypeError, ValueError):
        prompt = sum(len(message.content) + _call_size(message) for message in request.messages)
        return Usage(
            prompt_tokens=-(-prompt // _CHARS_PER_TOKEN),
            completion_tokens=-(-(len(reasoning) + len(text)) // _CHARS_PER_TOKEN),
            estimated=True,
        )


def _call_size(message: Message) -> int:
    return len(orjson.dumps(message.tool_calls)) if message.tool_calls else 0
