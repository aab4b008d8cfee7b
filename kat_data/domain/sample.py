"""Samples: accepted candidates as ordered turns, ready to be rendered."""

from dataclasses import dataclass
from typing import Any

from kat_data.domain.candidate import ToolCall
from kat_data.domain.mode import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One user message and the assistant's answer to it, with the reason for its mode."""

    user: str
    judge_analysis: str
    mode: Mode
    thinking: str
    answer: str
    tool_calls: tuple[ToolCall, ...] = ()


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
