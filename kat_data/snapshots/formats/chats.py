"""Records as the chat formats have them: TRL, OpenAI's fine-tuning, ShareGPT and Alpaca.

What a model learns is the same text in all of them: whole assistant turns as the template writes them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from kat_data.domain.query import Role
from kat_data.domain.tool import tool_problem
from kat_data.snapshots.formats.loss import Fitted, Loss, left_out
from kat_data.snapshots.record import OPTIONAL_FIELDS, Record

Message = dict[str, Any]

_OPENAI_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SHAREGPT_ROLES = {Role.SYSTEM: "system", Role.USER: "human", Role.ASSISTANT: "gpt", Role.TOOL: "tool"}
_MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")


def trl(record: Record) -> Fitted:
    """TRL's conversational rows: `messages`, or `prompt` and `completion`, with arguments of calls as objects."""
    content: Record = {
        name: [with_objects(message) for message in record[name]]
        for name in ("messages", "prompt", "completion")
        if name in record
    }
    return Fitted(rows=({"id": record["id"], **content, "tools": tools_of(record)},), lost=(Loss.LABELS,))


def openai(record: Record) -> Fitted:
    """OpenAI's fine-tuning lines; earlier answers of a stage-1 prompt get the weight 0, as they are no examples."""
    messages = [_openai(message) for message in record.get("prompt", ())]
    for message in messages:
        if message["role"] == Role.ASSISTANT:
            message["weight"] = 0
    messages += [_openai(message) for message in _taught(record)]
    tools = tools_of(record)
    if not _answered(messages):
        return left_out(Loss.UNANSWERED_CALLS)
    if not _acceptable(tools, messages):
        return left_out(Loss.REFUSED_TOOL)
    return Fitted(rows=({"messages": messages} | ({"tools": tools} if tools else {}),), lost=(Loss.LABELS,))


def sharegpt(record: Record) -> Fitted:
    """ShareGPT's `conversations`; calls and results stand in the text, in the marks of the Hermes data sets."""
    messages = [*record.get("prompt", ()), *_taught(record)]
    if any(mark in message["content"] for message in messages for mark in _MARKS):
        return left_out(Loss.RESERVED_MARK)
    lost = [Loss.LABELS]
    if any(message.get("tool_calls") for message in messages):
        lost.append(Loss.CALL_IDS)
    if any(message["role"] == Role.ASSISTANT for message in record.get("prompt", ())):
        lost.append(Loss.LEARNED_HISTORY)
    tools = record["tools"] if tools_of(record) else ""
    row = {"id": record["id"], "conversations": list(_said(messages)), "tools": tools}
    return Fitted(rows=(row,), lost=tuple(lost))


def alpaca(record: Record) -> Fitted:
    """Alpaca's `instruction`, `input` (always empty) and `output`, with a column `system` for those who read it."""
    messages = [plain(message) for message in (*record.get("prompt", ()), *_taught(record))]
    system = messages.pop(0)["content"] if messages[0]["role"] == Role.SYSTEM else ""
    if len(messages) != 2:
        return left_out(Loss.SEVERAL_TURNS)
    if "tool_calls" in messages[1]:
        return left_out(Loss.CALLS)
    row = {"id": record["id"], "instruction": messages[0]["content"], "input": "", "output": messages[1]["content"]}
    tools = (Loss.TOOLS,) if tools_of(record) else ()
    return Fitted(rows=({**row, "system": system},), lost=(Loss.LABELS, *tools))


def plain(message: Message) -> Message:
    """Return the message without the fields that it does not have."""
    return {name: value for name, value in message.items() if name not in OPTIONAL_FIELDS or value}


def with_objects(message: Message) -> Message:
    """Return the message with the arguments of its calls as objects: what chat templates take."""
    message = plain(message)
    if "tool_calls" in message:
        message["tool_calls"] = [{**call, "function": _function(call)} for call in message["tool_calls"]]
    return message


def tools_of(record: Record) -> list[Any]:
    """Return the tools of a record, which are stored as JSON text."""
    found: list[Any] = orjson.loads(record["tools"])
    return found


def _taught(record: Record) -> Sequence[Message]:
    """The messages behind a prompt, or the whole conversation."""
    found: Sequence[Message] = record["completion"] if "completion" in record else record["messages"]
    return found


def _function(call: Message) -> Message:
    return {"name": call["function"]["name"], "arguments": orjson.loads(call["function"]["arguments"])}


def _openai(message: Message) -> Message:
    message = plain(message)
    message.pop("name", None)  # OpenAI names the tool by the id of the call alone
    return message


def _answered(messages: Sequence[Message]) -> bool:
    """Whether every call but those of the last message has its result right behind it."""
    for index, message in enumerate(messages[:-1]):
        calls = [call["id"] for call in message.get("tool_calls", ())]
        results = [result.get("tool_call_id") for result in messages[index + 1 : index + 1 + len(calls)]]
        if calls != results:
            return False
    return True


def _acceptable(tools: Iterable[Any], messages: Iterable[Message]) -> bool:
    if any(tool_problem(tool) or not _OPENAI_NAME.fullmatch(tool["function"]["name"]) for tool in tools):
        return False
    names = {tool["function"]["name"] for tool in tools}
    return all(call["function"]["name"] in names for message in messages for call in message.get("tool_calls", ()))


def _said(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield ShareGPT's turns: results that follow each other are one turn, so that speakers alternate."""
    results: list[str] = []
    for message in messages:
        if message["role"] == Role.TOOL:
            found = {"name": message["name"], "content": message["content"]}
            results.append(f"<tool_response>\n{orjson.dumps(found).decode()}\n</tool_response>")
            continue
        if results:
            yield {"from": "tool", "value": "\n".join(results)}
            results = []
        calls = [_marked(call) for call in message.get("tool_calls") or ()]
        yield {"from": _SHAREGPT_ROLES[Role(message["role"])], "value": "\n".join([message["content"], *calls])}
    if results:
        yield {"from": "tool", "value": "\n".join(results)}


def _marked(call: Message) -> str:
    return f"<tool_call>\n{orjson.dumps(_function(call)).decode()}\n</tool_call>"
