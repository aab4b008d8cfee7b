"""The scripted server's own script: an answer of the right shape to every prompt, the same for the same body."""

import re
from typing import Any

import orjson

from kat_data.domain.call import FinishReason, Reply, Usage
from kat_data.domain.tool_call import ToolCall
from kat_data.hashing import canonical_json, draw
from kat_data.testing.fabricate import fabricate

_SUM = re.compile(r"(-?\d+) ?\+ ?(-?\d+)")


def obedient(body: dict[str, Any]) -> Reply:
    """Answer a request's body: by its schema, by a call of its first tool, else by two paragraphs, thinking and answer.

    The answer ends in `\\boxed{N}`. N is the sum that the last message asks for (`17 + 25`), right three times in four,
    else a digit by hash of the messages and the seed.
    """
    seed = draw(int(body.get("seed") or 0), canonical_json(body["messages"]))
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return reply_to(body, orjson.dumps(fabricate(form["json_schema"]["schema"], seed)).decode())
    if body.get("tools"):
        function = body["tools"][0]["function"]
        arguments = fabricate(function.get("parameters") or {"type": "object"}, seed)
        call = ToolCall(name=function["name"], arguments=arguments)
        return reply_to(body, "", tool_calls=(call,))
    return reply_to(body, f"The steps are few and short.\n\nThe result follows: \\boxed{{{_number(body, seed)}}}")


def _number(body: dict[str, Any], seed: int) -> int:
    task = _SUM.search(body["messages"][-1].get("content") or "")
    if task is None:
        return seed % 10
    slip = 1 if seed % 4 == 0 else 0
    return int(task[1]) + int(task[2]) + slip


def reply_to(body: dict[str, Any], text: str, *, tool_calls: tuple[ToolCall, ...] = ()) -> Reply:
    """Return a reply of `text` to a request's body, with its usage."""
    asked = sum(len(message.get("content") or "") for message in body["messages"])
    return Reply(
        text=text,
        finish_reason=FinishReason.TOOL_CALLS if tool_calls else FinishReason.STOP,
        usage=Usage(prompt_tokens=asked // 4 + 1, completion_tokens=len(text) // 4 + 1),
        tool_calls=tool_calls,
    )
