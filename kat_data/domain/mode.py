"""Thinking modes, votes on them, and the choice that a run makes for one assistant turn (§4.1.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Mode(StrEnum):
    """Whether an assistant turn reasons before it answers."""

    ON = "think_on"
    OFF = "think_off"


class Transition(StrEnum):
    """How the mode goes on from one assistant turn to the next."""

    OFF_OFF = "off_off"
    OFF_ON = "off_on"
    ON_OFF = "on_off"
    ON_ON = "on_on"


def transitions(modes: Sequence[Mode]) -> tuple[Transition, ...]:
    """Return the transition between every two turns that follow each other."""
    short = {Mode.ON: "on", Mode.OFF: "off"}
    return tuple(Transition(f"{short[one]}_{short[other]}") for one, other in pairwise(modes))


class Switches(StrEnum):
    """Whether the mode of a conversation changes from any of its turns to another (§4.1.2)."""

    YES = "yes"
    NO = "no"


def switches(modes: Sequence[Mode]) -> Switches | None:
    """Return whether the modes change; none of one turn, which can neither switch nor stay."""
    if len(modes) < 2:
        return None
    return Switches.YES if len(set(modes)) > 1 else Switches.NO


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
