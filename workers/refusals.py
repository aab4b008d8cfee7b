"""Runs that a process leaves to others for a while."""

import time
from collections.abc import Callable

LACKING_SECONDS = 60.0
"""How long a run is left to others for want of something that this machine may get meanwhile."""

_FIRST_SECONDS, _MOST_SECONDS = 4.0, 600.0


class Refusals:
    """Which runs this process refuses, and until when; what is over is forgotten."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[int, float] = {}
        self._defects: dict[int, int] = {}

    def __contains__(self, run: int) -> bool:
        return self._monotonic() < self._until.get(run, 0.0)

    def __len__(self) -> int:
        return len(self._until)

    def lacking(self, run: int) -> None:
        """Refuse a run that needs something that is not here."""
        self._refuse(run, LACKING_SECONDS)

    def defect(self, run: int) -> float:
        """Refuse a run that a defect ended, each time for longer; return for how many seconds."""
        self._defects[run] = self._defects.get(run, 0) + 1
        seconds = min(_FIRST_SECONDS * 2.0 ** (self._defects[run] - 1), _MOST_SECONDS)
        self._refuse(run, seconds)
        return seconds

    def forgive(self, run: int) -> None:
        """Forget the defects of a run whose work ended otherwise."""
        self._defects.pop(run, None)

    def _refuse(self, run: int, seconds: float) -> None:
        now = self._monotonic()
        self._until = {other: until for other, until in self._until.items() if until > now} | {run: now + seconds}
