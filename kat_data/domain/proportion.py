"""How sure a proportion is."""

from math import sqrt

_Z = 1.959964  # 95 %, two-sided


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """Return the 95 % Wilson interval of `hits` in `n`; none where `n` is 0."""
    if n == 0:
        return None
    share, z2 = hits / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = _Z * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)
