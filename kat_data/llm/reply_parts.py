"""What every wire format reads alike: texts and tool calls that a database can hold."""

from typing import Any

import orjson

from kat_data.domain.text import storable
from kat_data.domain.tool_call import ToolCall


def text_of(value: Any) -> str:
    """Return a text as it can be stored; what is no text is empty."""
    return storable(value) if isinstance(value, str) else ""


def tool_call_of(name: Any, arguments: Any) -> ToolCall:
    """Return a tool call; raises `TypeError` where it has no name, or arguments that no database holds."""
    name = text_of(name)
    if not isinstance(arguments, dict) or not name or b"\\u0000" in orjson.dumps(arguments):
        raise TypeError("a tool call needs a name and an object of arguments without the character NUL")
    return ToolCall(name=name, arguments=arguments)
