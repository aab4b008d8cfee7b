"""Rivals: answers that lost against the one that a sample holds, for preference pairs."""

from dataclasses import dataclass
from enum import StrEnum

from kat_data.domain.mode import Mode
from kat_data.domain.tool_call import ToolCall


class Fault(StrEnum):
    """Why an answer is the worse one."""

    INCORRECT = "incorrect"
    SCORED_LOWER = "scored_lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another answer to the same turn of a sample.

    `detail` names who judged it, or both scores; `mode_reason` is what a model said for the rival's mode, or none.
    """

    turn: int
    mode: Mode
    thinking: str
    answer: str
    tool_calls: tuple[ToolCall, ...]
    model: str
    fault: Fault
    detail: str
    mode_reason: str | None = None
