"""Pass rates (§4.2.3): how often a policy, in one revision, answers a query right."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kat_data.domain.mode import Mode
from kat_data.domain.proportion import wilson
from kat_data.domain.verdict import Outcome


class RolloutMode(StrEnum):
    """The mode in which rollouts are asked for; `auto` leaves it to the policy."""

    ON = "think_on"
    OFF = "think_off"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One answer of the policy and how it was verified.

    `mode` is what the policy did, none where its reply does not tell. `status` is the verdict's, or why the reply could
    not be read (`reply_cut`, `reply_empty`, …). `tokens` are of the completion, `call` is the ledger key, hex.
    """

    mode: Mode | None
    outcome: Outcome
    status: str
    tokens: int
    call: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRate:
    """A query's rollouts by one revision of one policy, asked in one way.

    The rate is correct / (correct + incorrect): an undecided rollout (cut, unreadable, not verified, timed out) is
    neither, is counted apart, and widens `bounds`. `prompted` and the sampling say how the policy was asked; `soft`
    says that the reference is itself a soft label.
    """

    policy: str
    revision: str
    mode: RolloutMode
    prompted: bool
    temperature: float
    top_p: float
    max_tokens: int
    soft: bool = False
    rollouts: tuple[Rollout, ...] = ()

    @property
    def k(self) -> int:
        return len(self.rollouts)

    @property
    def correct(self) -> int:
        return self._count(Outcome.CORRECT)

    @property
    def incorrect(self) -> int:
        return self._count(Outcome.INCORRECT)

    @property
    def undecided(self) -> int:
        return self._count(Outcome.UNDECIDED)

    @property
    def tokens(self) -> int:
        """Completion tokens of all rollouts."""
        return sum(rollout.tokens for rollout in self.rollouts)

    @property
    def rate(self) -> float | None:
        """The share of correct rollouts in the decided ones; none where none is decided."""
        decided = self.correct + self.incorrect
        return self.correct / decided if decided else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the rate over the decided rollouts."""
        return wilson(self.correct, self.correct + self.incorrect)

    @property
    def bounds(self) -> tuple[float, float]:
        """The rate if every undecided rollout were wrong, and if every one were right."""
        return (self.correct / self.k, (self.correct + self.undecided) / self.k) if self.k else (0.0, 1.0)

    def _count(self, outcome: Outcome) -> int:
        return sum(rollout.outcome is outcome for rollout in self.rollouts)


def measured_difficulty(rate: float) -> float:
    """Return difficulty on the taggers' scale, 1 (always right) to 10 (never), as measured by a pass rate."""
    return 1 + 9 * (1 - rate)
