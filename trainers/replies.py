"""What a completion says: its mode, its answer and its calls of tools, where it has the form that it must have."""

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kat_data.domain.mode import Mode
from kat_data.domain.template import parse
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import TemplateError

_CALLS: Final = re.compile(r"(?P<turn>.*</answer>)(?P<calls>(?:\n<tool_call>\{.*\}</tool_call>)+)", re.DOTALL)
_CALL: Final = re.compile(r"\n<tool_call>(\{.*?\})</tool_call>(?=\n<tool_call>|$)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A well-formed completion."""

    mode: Mode
    thinking: str
    answer: str
    tool_calls: tuple[ToolCall, ...] = ()


def read(text: str) -> Reply | None:
    """Return what a completion says, none where it is not written as the template has it.

    An answer in any other form is no answer: think-off that thinks inside its answer's place would else be paid for.
    Calls of tools follow `</answer>` as our chat template writes them.
    """
    match = _CALLS.fullmatch(text)
    try:
        turn = parse(match["turn"] if match else text)
        calls = tuple(map(_call, _CALL.findall(match["calls"]))) if match else ()
    except (TemplateError, ValueError, TypeError, KeyError):
        return None
    return Reply(mode=turn.mode, thinking=turn.thinking, answer=turn.answer, tool_calls=calls)


def _call(text: str) -> ToolCall:
    found: dict[str, Any] = orjson.loads(text)
    name, arguments = found["name"], found["arguments"]
    if not (isinstance(name, str) and isinstance(arguments, dict)):
        raise TypeError("a call needs a name and arguments")
    return ToolCall(name=name, arguments=arguments)
