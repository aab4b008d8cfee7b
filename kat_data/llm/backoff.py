"""How long to wait before a call is tried again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter: before retry n, wait between 0 and min(longest, first * 2**n) seconds.

    `tries` counts every try, the first included. An endpoint that asks for a pause above `patience` seconds is not
    waited for.
    """

    tries: int = 6
    first: float = 0.5
    longest: float = 30.0
    patience: float = 600.0

    def delay(self, retry: int, rng: random.Random) -> float:
        """Draw the seconds to wait before retry number `retry`, counted from 0."""
        return rng.uniform(0.0, min(self.longest, self.first * 2.0**retry))
