"""One worker's slice of a budget that many workers share: leased ahead of the calls, so that no call waits for it."""

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self

from kat_data.clock import Clock
from kat_data.domain.budget import Cap, Share
from kat_data.domain.call import Charge
from kat_data.llm.budget import Budget, subtract

RENEW_SECONDS = 1.0
AHEAD_SECONDS = 2.0  # of recent spending are leased beside what is in flight
VALID_SECONDS = 10.0  # far below the lease of a worker: who slept longer asks before it sends anything


class Purse(Protocol):
    """A run's money, from which its workers lease: all that they hold together never passes the cap."""

    async def lease(self, *, keep: Charge, need: Charge, wish: Charge) -> Share:
        """Hold `wish`, or as much of it as is fair and at least `need`; where that is not free, hold `keep`.

        All three count from the worker's beginning, with what it has spent. Raises `RunStopped` where the worker holds
        no slice any more, since the others take it for dead.
        """
        ...


class LeasedBudget(Budget):
    """A budget within a slice of a purse; entered, it renews the slice until it is left.

    What does not fit into the slice is asked for at once, and what recent spending does not need goes back with the
    next renewal. A call that fits nowhere waits while others may still give enough back.
    """

    def __init__(self, purse: Purse, clock: Clock) -> None:
        super().__init__(usd=0.0, tokens=0)
        # Nothing is known of the cap yet, so nothing is refused.
        self._share = Share(granted=Cap(usd=0.0, tokens=0))
        self._purse = purse
        self._clock = clock
        self._waiting: list[Charge] = []
        self._asked = asyncio.Event()
        self._valid_until = clock.monotonic()
        self._marked_at, self._marked = clock.monotonic(), Charge()
        self._pace = Charge()  # spent in a second
        self._served = True
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.renew()
        self._renewing = asyncio.create_task(self._keep_renewing())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._renewing is not None
        self._renewing.cancel()
        await asyncio.wait((self._renewing,))

    def refund(self, estimate: Charge) -> None:
        """Give the reservation of `estimate` back: the call cost nothing."""
        super().refund(estimate)
        if self._waiting:
            self._asked.set()

    async def renew(self) -> None:
        """Lease what the next seconds need and give the rest back.

        What may go back is out of use before the purse hears of it.
        """
        started = self._clock.monotonic()
        self._measure(started)
        self._asked.clear()
        keep, need, wish = self._demand()
        self._share = replace(self._share, granted=_at_most(self._share.granted, keep))
        self._share = await self._purse.lease(keep=keep, need=need, wish=wish)
        self._valid_until = started + VALID_SECONDS
        self._served = self._share.granted.holds(need)
        self._changed.set()

    def _demand(self) -> tuple[Charge, Charge, Charge]:
        used = self._own + self._reserved
        ahead = used + _times(self._pace, AHEAD_SECONDS)
        if not self._waiting:
            return _smaller(ahead, self._share.granted), used, ahead
        # Twice, because each of these calls will be followed by another.
        return used, used + self._waiting[0], ahead + _times(sum(self._waiting, Charge()), 2)

    def _measure(self, now: float) -> None:
        seconds = now - self._marked_at
        if seconds >= RENEW_SECONDS:
            self._pace = _times(subtract(self._own, self._marked), 1 / seconds)
            self._marked_at, self._marked = now, self._own

    def _fits(self, estimate: Charge) -> bool:
        return super()._fits(estimate) and self._clock.monotonic() < self._valid_until

    async def _wait(self, estimate: Charge) -> None:
        self._waiting.append(estimate)
        if self._served:  # else it is asked again once something has changed
            self._asked.set()
        try:
            await super()._wait(estimate)
        finally:
            self._waiting.remove(estimate)

    async def _keep_renewing(self) -> None:
        try:
            while True:
                await self._pause()
                await self.renew()
        except Exception as error:
            self.stop(error)

    async def _pause(self) -> None:
        """Wait until the slice is to be renewed, or a call asks for more."""
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._clock.sleep(RENEW_SECONDS)),
            asyncio.ensure_future(self._asked.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _times(charge: Charge, factor: float) -> Charge:
    return Charge(usd=charge.usd * factor, tokens=round(charge.tokens * factor))


def _smaller(charge: Charge, cap: Cap) -> Charge:
    return Charge(
        usd=charge.usd if cap.usd is None else min(charge.usd, cap.usd),
        tokens=charge.tokens if cap.tokens is None else min(charge.tokens, cap.tokens),
    )


def _at_most(cap: Cap, charge: Charge) -> Cap:
    return Cap(
        usd=None if cap.usd is None else min(cap.usd, charge.usd),
        tokens=None if cap.tokens is None else min(cap.tokens, charge.tokens),
    )
