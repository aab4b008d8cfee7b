"""What a verifier says of a candidate."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The three ways in which a verification can end."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNDECIDED = "undecided"


class Status(StrEnum):
    """Why an outcome was reached; programs and answers have their own words."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNPARSABLE = "unparsable"
    OVER_LIMIT = "over_limit"
    TIMEOUT = "timeout"
    PASSED = "passed"
    FAILED = "failed"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    CRASHED = "crashed"
    NOT_VERIFIED = "not_verified"
    SPLIT_PANEL = "split_panel"
    ENDORSED = "endorsed"
    OBJECTED = "objected"


OPINIONS = frozenset({Status.ENDORSED, Status.OBJECTED})
"""Outcomes that models alone decided on: good enough to keep or drop a sample, never a reward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A verifier's word on one candidate.

    `reward` is 1.0 for correct, 0.0 for incorrect and none for undecided and for opinions, by construction.
    `verifier` names who decided, `evidence` holds what a curator needs in order to check it: extracted answers, the
    deciding layer, versions.
    """

    outcome: Outcome
    status: Status
    verifier: str
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def reward(self) -> float | None:
        if self.status in OPINIONS:
            return None
        return {Outcome.CORRECT: 1.0, Outcome.INCORRECT: 0.0}.get(self.outcome)


def as_opinion(verdict: Verdict) -> Verdict:
    """Return a verdict that rests on what models say, as an opinion: the outcome stays, the reward goes.

    What the verifier itself said stays in the evidence, as `status`.
    """
    status = {Outcome.CORRECT: Status.ENDORSED, Outcome.INCORRECT: Status.OBJECTED}.get(verdict.outcome)
    if status is None:
        return verdict
    return replace(verdict, status=status, evidence={**verdict.evidence, "status": verdict.status.value, "soft": True})
