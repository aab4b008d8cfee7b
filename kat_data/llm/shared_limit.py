"""Limits that all workers share: each leases a slice, and a background task renews it."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from kat_data.clock import Clock
from kat_data.domain.slice import EndpointLimits, Report, Slice
from kat_data.llm.allowance import Allowance
from kat_data.llm.limits import Limit

VALID_SECONDS = 10.0  # less than it takes others to hold a worker that hangs for dead
_RENEW_SECONDS = 1.0
_HASTE_SECONDS = 0.05


class Slices(Protocol):
    """Where slices are leased: the sum of all of them never exceeds an endpoint's limits.

    `open` takes a place at an endpoint, by what it is to its provider, and returns the lease's name. `news` returns
    when what others did concerns one of these leases, or after `seconds`.
    """

    async def open(self, place: str, limits: EndpointLimits) -> int: ...

    async def renew(self, lease: int, report: Report) -> Slice: ...

    async def give_back(self, lease: int, report: Report) -> None: ...

    async def news(self, seconds: float) -> None: ...

    async def close(self) -> None: ...


class SharedLimit(Limit):
    """A worker's part of an endpoint's limits; a call waits for a renewal only where the slice has no room for it.

    A slice is good for `VALID_SECONDS`, so that a worker that was stopped and wakes up sends nothing on an old one.
    """

    def __init__(self, place: str, limits: EndpointLimits, clock: Clock, renew_soon: asyncio.Event) -> None:
        super().__init__(0, clock)
        self.place = place
        self.limits = limits
        self._renew_soon = renew_soon
        self._rated = limits.rpm is not None or limits.tpm is not None
        self._allowance = Allowance(limits, renew_soon.set)
        self._seats = 0
        self._wants = 0
        self._quiet_until = 0.0
        self._good = 0
        self._throttled: int | None = None
        self._asked_pause = 0.0
        self._asked_at = self._valid_until = clock.monotonic()
        self._fault: Exception | None = None

    async def acquire(self) -> int:
        if self._fault is not None:
            raise self._fault
        return await super().acquire()

    def release(self) -> None:
        super().release()
        self._hand_over()

    async def draw(self, tokens: int) -> int:
        if self._fault is not None:
            raise self._fault
        return await self._allowance.draw(tokens) if self._rated else 0

    def settle(self, period: int, drawn: int, used: int | None) -> None:
        if self._rated:
            self._allowance.settle(period, drawn, used)

    def succeeded(self) -> None:
        self._good += 1

    def throttled(self, generation: int) -> None:
        if generation == self._generation and self._throttled is None:
            self._throttled = generation
            self._renew_soon.set()

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        self._asked_pause = max(self._asked_pause, seconds)
        self._renew_soon.set()

    def bypass(self) -> None:
        super().bypass()
        self._allowance.bypass()

    def report(self) -> Report:
        """Say what the slice is used for, and bind this worker to it until `adopt`."""
        self._asked_at = self._clock.monotonic()
        self._seats = max(self.limit, self.in_flight)
        self._wants = self.in_flight + len(self._waiting)
        report = Report(
            holds=self._seats,
            wants=self._wants,
            good=self._good,
            throttled=self._throttled,
            pause=self._asked_pause,
            drawn=self._allowance.report(),
        )
        self._good, self._throttled, self._asked_pause = 0, None, 0.0
        return report

    def adopt(self, given: Slice) -> None:
        """Take up the slice that answers the last report."""
        self._seats = given.seats
        self.limit = min(given.seats, given.share)
        self._generation = given.generation
        self._valid_until = self._asked_at + VALID_SECONDS
        if self._wants > self.limit:
            self._quiet_until = self._asked_at + _RENEW_SECONDS  # there is no more now; of what comes free we hear
        if given.pause:
            super().pause(given.pause)
        self._allowance.adopt(given)
        self._admit()
        self._hand_over()

    def fail(self, error: Exception) -> None:
        """Raise `error` in everyone who waits or comes: slices are no longer to be had."""
        self._fault = error
        self._allowance.fail(error)
        for place in self._waiting:
            if not place.done():
                place.set_exception(error)
        self._waiting.clear()

    def _has_room(self) -> bool:
        if self._bypassed:
            return True
        return self.in_flight < self.limit and self._clock.monotonic() < self._valid_until

    def _hand_over(self) -> None:
        if self.limit < self._seats > self.in_flight:
            self._renew_soon.set()  # a seat is free that others want

    def _queued(self) -> None:
        known = self._wants > self._seats
        if not known and self._clock.monotonic() >= self._quiet_until:
            self._wants = self._seats + 1
            self._renew_soon.set()


class Sharing:
    """Keeps a worker's slices fresh while it is entered: about once a second, and sooner where somebody waits.

    Where slices are no longer to be had, every waiting and every later caller gets the error.
    """

    def __init__(self, slices: Slices, clock: Clock) -> None:
        self._slices = slices
        self._clock = clock
        self._limits: list[SharedLimit] = []
        self._leases: dict[SharedLimit, int] = {}
        self._renew_soon = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Sharing":
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        with suppress(Exception):  # with the connection, a lost server ends the lease, too
            for limit, lease in self._leases.items():
                await self._slices.give_back(lease, limit.report())
        await self._slices.close()

    def limit(self, place: str, limits: EndpointLimits) -> SharedLimit:
        """Return this worker's part of what `place` takes from all callers together."""
        limit = SharedLimit(place, limits, self._clock, self._renew_soon)
        self._limits.append(limit)
        self._renew_soon.set()
        return limit

    async def _keep(self) -> None:
        try:
            while True:
                self._renew_soon.clear()
                for limit in self._limits:
                    limit.adopt(await self._slices.renew(await self._lease(limit), limit.report()))
                await self._clock.sleep(_HASTE_SECONDS)
                await self._until_due()
        except Exception as error:
            for limit in self._limits:
                limit.fail(error)

    async def _lease(self, limit: SharedLimit) -> int:
        if limit not in self._leases:
            self._leases[limit] = await self._slices.open(limit.place, limit.limits)
        return self._leases[limit]

    async def _until_due(self) -> None:
        """Return when a limit wants a renewal, others have news for us, or a second has passed."""
        waits = {
            asyncio.ensure_future(self._renew_soon.wait()),
            asyncio.ensure_future(self._slices.news(_RENEW_SECONDS)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            done = await asyncio.gather(*waits, return_exceptions=True)
        for error in done:
            if isinstance(error, Exception):
                raise error
