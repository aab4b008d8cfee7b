"""Samples: accepted candidates as ordered turns, ready to be rendered."""

from dataclasses import dataclass, field
from typing import Any

from kat_data.domain.mode import Mode, Transition, transitions
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
    def transitions(self) -> tuple[Transition, ...]:
        """How the mode went on from turn to turn, in order; none for a sample of one turn (§4.1.2)."""
        return transitions([turn.mode for turn in self.turns])

    @property
    def switches(self) -> bool:
        """Whether the mode changes at least once."""
        return len({turn.mode for turn in self.turns}) > 1

    @property
    def mode(self) -> Mode:
        """The mode of the last turn, by which mixtures count the sample."""
        return self.turns[-1].mode
