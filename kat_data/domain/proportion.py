"""Proportions and how surely they are known."""

from math import sqrt

Z95 = 1.959963984540054


def wilson(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's score interval for `successes` of `trials`, 95 % by default; (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return max(0.0, low), min(1.0, high)
