"""Tool calls: what an assistant asks its tools to do."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function that the assistant asks for; `arguments` are JSON values by name.

    A call has no id of its own: the results of an assistant's calls follow it in the order of the calls, and ids are
    made from places where a format wants them (`call_id`).
    """

    name: str
    arguments: dict[str, Any]


def call_id(turn: int, number: int) -> str:
    """Return the id of an assistant turn's call: OpenAI wants one, and it must be the same at every rendering."""
    return f"call_{turn}_{number}"
