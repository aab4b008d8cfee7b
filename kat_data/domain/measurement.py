"""Mode evidence: how answers in both modes fared at one turn, and for which mode that speaks."""

from dataclasses import dataclass

from kat_data.domain.mode import Mode, ModeOrigin

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What the answers drawn in one mode came to.

    `undecided` of the `n` have no verdict: cut, unreadable, or beyond the verifier. `tokens` are the completion tokens
    of all of them, reasoning included.
    """

    n: int
    correct: int
    undecided: int
    tokens: int

    @property
    def decided(self) -> int:
        return self.n - self.undecided

    @property
    def rate(self) -> float | None:
        """The share of correct ones among those decided on; none where there are none."""
        return self.correct / self.decided if self.decided else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeMeasurement:
    """One turn tried in both modes; `chosen` is the mode that stood before, and `chosen_by` says why it did.

    `preferred` is none where one of the modes has no answer that was decided on.
    """

    chosen: Mode
    chosen_by: ModeOrigin
    off: Trials
    on: Trials
    preferred: Mode | None


def preferred_mode(off: Trials, on: Trials, margin: float) -> Mode | None:
    """Return think-off unless think-on is right more often by more than `margin`: a near-tie is not worth thinking.

    The rule is HiPO's. None where the trials cannot tell.
    """
    if off.rate is None or on.rate is None:
        return None
    return Mode.ON if on.rate - off.rate > margin + _ROUNDING else Mode.OFF
