"""Scores: what rewarders think of accepted answers, dimension by dimension (§4.1.2)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One rewarder's opinion on one candidate in one dimension.

    `candidate` is its position; `value` is 0 (worst) to 1 (best); `reason` is empty where a reward model gave it;
    `call` is the ledger key, hex.
    """

    candidate: int
    rewarder: str
    dimension: str
    value: float
    reason: str
    call: str


def overall(scores: Iterable[Score], weights: Mapping[str, float]) -> dict[int, float]:
    """Return each candidate's weighted mean over its dimensions, each of them the mean over its rewarders.

    A dimension without a weight counts as 1.
    """
    by_candidate: dict[int, dict[str, list[float]]] = {}
    for score in scores:
        by_candidate.setdefault(score.candidate, {}).setdefault(score.dimension, []).append(score.value)
    return {candidate: _mean(values, weights) for candidate, values in by_candidate.items()}


def _mean(values: Mapping[str, list[float]], weights: Mapping[str, float]) -> float:
    weighed = [(weights.get(dimension, 1.0), fmean(found)) for dimension, found in values.items()]
    return sum(weight * value for weight, value in weighed) / sum(weight for weight, _ in weighed)
