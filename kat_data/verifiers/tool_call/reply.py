"""Calls as replies write them: in OpenAI's fields, as a bare name with arguments, in BFCL's own shape, or in the text.

Only calls in fields are ever accepted; those in a text are found so that a reply cannot make one and deny it.
"""

import json
import re
from collections.abc import Collection
from typing import Any

import orjson

from kat_data.domain.tool_call import ToolCall

_TAGGED = re.compile(
    r"<\s*/?\s*(?:tool_calls?|function_calls?|function)\b|<\|?tool_call|\[TOOL_CALLS\]|✿FUNCTION✿", re.IGNORECASE
)
_OBJECT = re.compile(
    r"\"(?:name|function|tool)\"\s*:\s*(?:\"|\{).{0,2000}?\"(?:arguments|parameters|args)\"\s*:", re.DOTALL
)


class UnreadableCall(ValueError):
    """What should be a call cannot be read as one; the text says why."""


def read_calls(raw: Any) -> tuple[ToolCall, ...]:
    """Return the calls in `raw`: a list of them, a single one, or the JSON text of either; raises `UnreadableCall`."""
    if isinstance(raw, str):
        raw = _json(raw, "the calls") if raw.strip() else []
    if raw is None:
        return ()
    return tuple(_call(item) for item in (raw if isinstance(raw, list | tuple) else [raw]))


def call_in_text(text: str, names: Collection[str]) -> str | None:
    """Return the beginning of a call that stands in `text` itself: tagged, as a JSON object, or as `name(...)`."""
    patterns = (_TAGGED, _OBJECT, *_named(names))
    found = [match for pattern in patterns if (match := pattern.search(text))]
    return min(found, key=lambda match: match.start()).group()[:80] if found else None


def _named(names: Collection[str]) -> tuple[re.Pattern[str], ...]:
    """Calls by a function's own name: `{"name": {...}}`, and in Python's shape.

    The latter is one with an argument by name or as a literal text or object, or alone on its line: prose may name
    `f(x)`.
    """
    if not names:
        return ()
    either = "|".join(re.escape(name) for name in sorted({*names, *(name.replace(".", "_") for name in names)}))
    return (
        re.compile(rf"\{{\s*\"(?:{either})\"\s*:\s*\{{"),
        re.compile(
            rf"(?<![\w.])(?:{either})\((?:\s*\w+\s*=[^=]|\s*[\"'“{{\[]|[^()]*\)\]?\s*$)",
            re.MULTILINE,
        ),
    )


def _call(item: Any) -> ToolCall:
    if isinstance(item, ToolCall):
        return item
    if not isinstance(item, dict):
        raise UnreadableCall(f"a call is an object, not {str(item)[:80]!r}")
    function = item.get("function", item)
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        return ToolCall(name=function["name"], arguments=_arguments(function))
    if len(item) == 1 and isinstance((arguments := next(iter(item.values()))), dict):
        return ToolCall(name=next(iter(item)), arguments=arguments)
    raise UnreadableCall("a call has no name")


def _arguments(function: dict[str, Any]) -> dict[str, Any]:
    name = function["name"]
    arguments = function.get("arguments", function.get("parameters"))
    if isinstance(arguments, str):
        arguments = _json(arguments, f"{name}: the arguments") if arguments.strip() else {}
    if arguments is None:
        return {}
    if not isinstance(arguments, dict):
        raise UnreadableCall(f"{name}: the arguments are no object")
    return arguments


def _json(text: str, what: str) -> Any:
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise UnreadableCall(f"{what} are no JSON: {error}") from None
    try:
        json.loads(text, object_pairs_hook=_unique, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise UnreadableCall(f"{what} cannot be read in one way only: {error}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of `pairs`: with a key twice, which value the function gets would depend on the reader."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made
