"""How many calls may be in flight at one endpoint, within one process."""

import asyncio
from collections import deque

from kat_data.clock import Clock


class Limit:
    """Lets up to `limit` calls be in flight, first come first served.

    An endpoint's wish to be left alone for some seconds (Retry-After) holds for every caller: `pause_left` says how
    long.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self.in_flight = 0
        self._clock = clock
        self._generation = 0
        self._resume_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._bypassed = False

    @property
    def pause_left(self) -> float:
        """Seconds for which no call may be sent."""
        return max(0.0, self._resume_at - self._clock.monotonic()) if self._resume_at else 0.0

    async def acquire(self) -> int:
        """Wait for a place; returns the generation that `throttled` wants to be told."""
        if not self._waiting and self._has_room():
            self.in_flight += 1
            return self._generation
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._queued()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release()
            raise
        return self._generation

    def release(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        self._admit()

    async def draw(self, tokens: int) -> int:
        """Wait until one more request of so many tokens may be sent; returns what `settle` wants to be told."""
        return 0

    def settle(self, period: int, drawn: int, used: int | None) -> None:
        """Count what a drawn call really used, in tokens; with none it was not sent."""

    def succeeded(self) -> None:
        """Count a good call."""

    def throttled(self, generation: int) -> None:
        """Count a call that was sent under the limit of `generation`, and which the endpoint found too many."""

    def pause(self, seconds: float) -> None:
        """Keep every caller from sending for `seconds`."""
        self._resume_at = max(self._resume_at, self._clock.monotonic() + seconds)

    def bypass(self) -> None:
        """Let everyone through, now and later: the caller has stopped sending, and nobody may wait for ever."""
        self._bypassed = True
        self._admit()

    def _has_room(self) -> bool:
        return self._bypassed or self.in_flight < self.limit

    def _queued(self) -> None:
        """Take note that a caller waits."""

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)


class AdaptiveLimit(Limit):
    """A process's own limit: additive increase, multiplicative decrease (AIMD), with 1 <= limit <= ceiling.

    A throttled call halves the limit, a whole window of good calls raises it by one.
    """

    def __init__(self, ceiling: int, clock: Clock) -> None:
        if ceiling < 1:
            raise ValueError("a limit needs room for one call")
        super().__init__(ceiling, clock)
        self._ceiling = ceiling
        self._good = 0

    def succeeded(self) -> None:
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
