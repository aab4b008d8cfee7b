"""How many calls may be in flight at one endpoint: additive increase, multiplicative decrease (AIMD)."""

import asyncio
from collections import deque

from kat_data.clock import Clock


class AdaptiveLimit:
    """Lets up to `limit` calls be in flight, where 1 <= limit <= ceiling.

    A throttled call halves the limit, a whole window of good calls raises it by one. An endpoint's wish to be left
    alone for some seconds (Retry-After) holds for every caller: `pause_left` says how long.
    """

    def __init__(self, ceiling: int, clock: Clock) -> None:
        if ceiling < 1:
            raise ValueError("a limit needs room for one call")
        self.limit = ceiling
        self.in_flight = 0
        self._ceiling = ceiling
        self._clock = clock
        self._generation = 0
        self._good = 0
        self._resume_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def pause_left(self) -> float:
        """Seconds for which no call may be sent."""
        return max(0.0, self._resume_at - self._clock.monotonic()) if self._resume_at else 0.0

    async def acquire(self) -> int:
        """Wait for a place, first come first served; returns the generation that `throttled` wants to be told."""
        if self._closed or (self.in_flight < self.limit and not self._waiting):
            self.in_flight += 1
            return self._generation
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()
            raise
        return self._generation

    def release(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        self._admit()

    def succeeded(self) -> None:
        """Count a good call."""
        self._good += 1
        if self._good >= self.limit and self.limit < self._ceiling:
            self._good = 0
            self.limit += 1
            self._admit()

    def throttled(self, generation: int) -> None:
        """Halve the limit, once for all the calls that were sent under the same limit."""
        if generation == self._generation:
            self._generation += 1
            self._good = 0
            self.limit = max(1, self.limit // 2)

    def pause(self, seconds: float) -> None:
        """Keep every caller from sending for `seconds`."""
        self._resume_at = max(self._resume_at, self._clock.monotonic() + seconds)

    def close(self) -> None:
        """Let everyone through, now and later: the caller has stopped sending, and nobody may wait for ever."""
        self._closed = True
        self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._closed or self.in_flight < self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)
