"""Intervals of what is measured on samples: several answers to one item are not independent, so items are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over `n` values of `items` items, and the interval that holds the true one in 95 of 100 cases."""

    mean: float
    low: float
    high: float
    n: int
    items: int


def estimate(values: Sequence[float], items: Sequence[int], *, seed: int = 0) -> Estimate | None:
    """Return the mean of `values` with its bootstrap interval over `items`, none where there is no value.

    Each value belongs to the item at its place. Where all values are equal a bootstrap sees no doubt: the interval of
    a share is then Wilson's, which does.
    """
    if not values:
        return None
    sums, counts = _by_item(np.asarray(values, float), items)
    mean = float(sums.sum() / counts.sum())
    low, high = _quantiles(_means(sums, counts, seed))
    if len(set(values)) == 1 and values[0] in (0.0, 1.0):
        low, high = wilson(mean, len(counts))
    return Estimate(mean=mean, low=low, high=high, n=len(values), items=len(counts))


def difference(
    before: Sequence[float],
    before_items: Sequence[int],
    after: Sequence[float],
    after_items: Sequence[int],
    *,
    seed: int = 0,
) -> Estimate:
    """Return the mean of `after` minus that of `before` over the items that both have, paired item by item.

    Raises `ValueError` where they share none.
    """
    both = sorted(set(before_items) & set(after_items))
    if not both:
        raise ValueError("the two evaluations share no item")
    place = {item: number for number, item in enumerate(both)}
    changes = _item_means(after, after_items, place) - _item_means(before, before_items, place)
    ones = np.ones(len(both))
    low, high = _quantiles(_means(changes, ones, seed))
    return Estimate(mean=float(changes.mean()), low=low, high=high, n=len(after), items=len(both))


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's interval of a share of `n` independent items."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _by_item(values: NDArray[np.float64], items: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    place: NDArray[np.intp] = np.unique(np.asarray(items), return_inverse=True)[1]
    sums: NDArray[np.float64] = np.bincount(place, weights=values).astype(np.float64)
    return sums, np.bincount(place).astype(np.float64)


def _item_means(values: Sequence[float], items: Sequence[int], place: dict[int, int]) -> NDArray[np.float64]:
    kept = [(place[item], value) for item, value in zip(items, values, strict=True) if item in place]
    at = np.asarray([number for number, _ in kept])
    sums = np.bincount(at, weights=np.asarray([value for _, value in kept], float), minlength=len(place))
    means: NDArray[np.float64] = sums / np.bincount(at, minlength=len(place))
    return means


def _means(sums: NDArray[np.float64], counts: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Means of drawn items; how often each item is drawn is all that counts, so memory does not grow with draws."""
    random = np.random.default_rng(seed)
    n = len(counts)
    found = np.empty(DRAWS)
    for draw in range(DRAWS):
        times = np.bincount(random.integers(0, n, n), minlength=n)
        found[draw] = (times @ sums) / (times @ counts)
    return found


def _quantiles(means: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
