"""Rank correlation: how far one ordering follows another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

from kat_data.domain.proportion import Z95


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation over `n` pairs with a 95 % interval; none where it is not defined."""

    n: int
    rho: float | None
    low: float | None = None
    high: float | None = None


def spearman(xs: Sequence[float], ys: Sequence[float]) -> Correlation:
    """Return the rank correlation of two sequences of one length; ties share their mean rank.

    The interval is Fisher's z with the variance of Fieller, Hartley and Pearson (1957), 1.06 / (n - 3). A sequence
    without two distinct values has no correlation, and fewer than 4 pairs have no interval.
    """
    n = len(xs)
    rho = _pearson(ranks(xs), ranks(ys)) if n == len(ys) and n > 1 else None
    if rho is None or n < 4:
        return Correlation(n=n, rho=rho)
    if abs(rho) >= 1:
        return Correlation(n=n, rho=rho, low=rho, high=rho)
    half = Z95 * sqrt(1.06 / (n - 3))
    return Correlation(n=n, rho=rho, low=tanh(atanh(rho) - half), high=tanh(atanh(rho) + half))


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, 1 for the least; equal values share the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or values[order[end]] != values[order[start]]:
            for place in order[start:end]:
                found[place] = (start + 1 + end) / 2
            start = end
    return found


def _pearson(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread_x = sum((x - mean_x) ** 2 for x in xs)
    spread_y = sum((y - mean_y) ** 2 for y in ys)
    if not spread_x or not spread_y:
        return None
    shared = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return max(-1.0, min(1.0, shared / sqrt(spread_x * spread_y)))
