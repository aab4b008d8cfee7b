"""Samples: accepted candidates as ordered turns, ready to be rendered."""

from dataclasses import dataclass, field
from typing import Any

from kat_data.domain.mode import Mode
from kat_data.domain.tool_call import ToolCall
from kat_data.hashing import ADDED_LATER


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer of the assistant, with the reason for its mode.

    It answers `user`, or, where the turn before it has `results`, those: then `user` is empty. `results` are what the
    turn's own calls gave, one for each in their order, or none where nothing answers them.
    """

    user: str
    judge_analysis: str
    mode: Mode
    thinking: str
    answer: str
    tool_calls: tuple[ToolCall, ...] = ()
    results: tuple[str, ...] = field(default=(), metadata=ADDED_LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An accepted conversation: a system text or none, tools, and at least one turn."""

    system: str | None
    tools: tuple[dict[str, Any], ...]
    turns: tuple[Turn, ...]

    @property
    def mode(self) -> Mode:
        """The mode of the last turn, by which mixtures count the sample."""
        return self.turns[-1].mode
