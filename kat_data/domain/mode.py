"""Thinking modes, votes on them, and the choice that a run makes for one assistant turn (§4.1.1)."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Whether an assistant turn reasons before it answers."""

    ON = "think_on"
    OFF = "think_off"


class ModeOrigin(StrEnum):
    """Why a turn got its mode."""

    MAJORITY = "majority"
    RANDOM = "random"
    DIRECTIVE = "directive"
    ROUTE = "route"
    MEASUREMENT = "measurement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One model's opinion on the mode of one turn, with its reason; `call` is the ledger key, hex."""

    model: str
    mode: Mode
    reason: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChoice:
    """The mode of one turn; `margin` is (winner - loser) / votes in [0, 1], none where nobody voted."""

    mode: Mode
    origin: ModeOrigin
    margin: float | None = None
