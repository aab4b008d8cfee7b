"""Messages in the shapes that data sets give them: ShareGPT's `from` and `value`, OpenAI's `role` and `content`."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from kat_data.domain.bad_line import BadCode
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.sources.fields import as_text
from kat_data.sources.row_error import RowError

_ROLES = {
    "system": Role.SYSTEM,
    "human": Role.USER,
    "user": Role.USER,
    "gpt": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
    "observation": Role.TOOL,
}
_CALLERS = frozenset({"function_call", "tool_call"})
"""Speakers of ShareGPT whose text is a call as JSON: the assistant, calling."""


def user_message(text: str) -> tuple[Message, ...]:
    """Return a conversation of one user message."""
    return (Message(role=Role.USER, content=text),)


def read_messages(value: Any) -> tuple[Message, ...]:
    """Read a list of messages; raises `RowError` where one is malformed or none is the user's.

    Results of tools that name their calls are put into the order of the calls.
    """
    if not isinstance(value, list):
        raise RowError("the messages are not a list")
    messages = tuple(_message(item) for item in _in_order(value))
    if not any(message.role is Role.USER for message in messages):
        raise RowError("the conversation has no user turn", BadCode.NO_USER_TURN)
    return messages


def category_of(messages: tuple[Message, ...]) -> Category:
    """Return `multi_turn` where the user speaks more than once, else `general`."""
    turns = sum(message.role is Role.USER for message in messages)
    return Category.MULTI_TURN if turns > 1 else Category.GENERAL


def _in_order(items: Sequence[Any]) -> Iterator[Any]:
    """Yield the messages, the results that follow one message's calls sorted as these calls are."""
    places: dict[str, int] = {}
    results: list[tuple[int, Any]] = []
    for item in items:
        if isinstance(item, dict) and _role(item) is Role.TOOL and isinstance(item.get("tool_call_id"), str):
            if item["tool_call_id"] not in places:
                raise RowError(f"a tool's result names the call {item['tool_call_id']!r}, which is not made before it")
            results.append((places[item["tool_call_id"]], item))
            continue
        yield from (result for _, result in sorted(results, key=lambda pair: pair[0]))
        results = []
        calls = item.get("tool_calls") if isinstance(item, dict) else None
        if isinstance(calls, list):
            places = {call["id"]: n for n, call in enumerate(calls) if isinstance(call, dict) and "id" in call}
        yield item
    yield from (result for _, result in sorted(results, key=lambda pair: pair[0]))


def _role(item: dict[str, Any]) -> Role | None:
    name = item.get("from", item.get("role"))
    if isinstance(name, str):
        return Role.ASSISTANT if name in _CALLERS else _ROLES.get(name)
    return None


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise RowError("a message is not an object")
    role = _role(item)
    if role is None:
        raise RowError(f"a message has the unknown role {item.get('from', item.get('role'))!r}")
    value = item.get("value", item.get("content"))
    if item.get("from", item.get("role")) in _CALLERS:
        return Message(role=role, content="", tool_calls=(_call(_json(value)),))
    text = "" if value is None else as_text(value, "a message")
    if role is Role.USER and not text.strip():
        raise RowError("a user message is empty", BadCode.NO_USER_TURN)
    return Message(role=role, content=text, tool_calls=_calls(item) if role is Role.ASSISTANT else ())


def _calls(item: dict[str, Any]) -> tuple[ToolCall, ...]:
    calls = item.get("tool_calls") or []
    if item.get("function_call"):
        calls = [*calls, item["function_call"]]
    if not isinstance(calls, list):
        raise RowError("the tool calls are not a list")
    return tuple(_call(call) for call in calls)


def _call(call: Any) -> ToolCall:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RowError("a tool call has no name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json(arguments or "{}")
    if arguments is not None and not isinstance(arguments, dict):
        raise RowError(f"the arguments of a call of {function['name']} are not an object")
    if b"\\u0000" in orjson.dumps(arguments):
        raise RowError(f"the arguments of a call of {function['name']} hold the character NUL")
    return ToolCall(name=function["name"], arguments=arguments or {})


def _json(text: Any) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise RowError(f"a tool call is not JSON: {error}") from error
