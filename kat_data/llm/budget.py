"""A hard cap in money and tokens: every call reserves its upper bound first and settles its real price after."""

import asyncio
import copy

from kat_data.domain.budget import Cap, Share
from kat_data.domain.call import Charge
from kat_data.errors import BudgetExhausted


class Budget:
    """Keeps spent + reserved within the share; a cap of none has no end.

    By itself it serves the callers of one process, who share the whole cap; `spent` is what was spent before.
    """

    def __init__(self, *, usd: float | None = None, tokens: int | None = None, spent: Charge | None = None) -> None:
        cap, before = Cap(usd=usd, tokens=tokens), spent or Charge()
        self._share = Share(granted=cap.less(before), cap=cap, others=before)
        self._own = Charge()
        self._reserved = Charge()
        self._outstanding = 0
        self._changed = asyncio.Event()
        self._stopped: Exception | None = None

    @property
    def spent(self) -> Charge:
        """What is paid for, and what cannot be got back."""
        return self._share.others + self._own

    async def reserve(self, estimate: Charge) -> None:
        """Reserve `estimate`; waits while calls in flight may still give enough back, else raises `BudgetExhausted`."""
        while not self._fits(estimate):
            if self._stopped is not None:
                # A copy, because many callers raise it and each adds its own traceback.
                raise copy.copy(self._stopped)
            if not self._share.cap.holds(self.spent + estimate):
                raise BudgetExhausted(self._refusal(estimate))
            await self._wait(estimate)
        self._outstanding += 1
        self._reserved += estimate

    def settle(self, estimate: Charge, actual: Charge) -> None:
        """Turn the reservation of `estimate` into `actual` spending."""
        self._own += actual
        self.refund(estimate)

    def refund(self, estimate: Charge) -> None:
        """Give the reservation of `estimate` back: the call cost nothing."""
        self._outstanding -= 1
        # Back to exactly nothing, whatever the order in which floats were added and taken away.
        self._reserved = subtract(self._reserved, estimate) if self._outstanding else Charge()
        self._changed.set()

    def stop(self, error: Exception) -> None:
        """End the waiting: whoever waits for money raises `error`."""
        self._stopped = self._stopped or error
        self._changed.set()

    def count(self, actual: Charge) -> None:
        """Count what a call cost for which somebody else had made the reservation."""
        self._own += actual
        self._changed.set()

    def _fits(self, estimate: Charge) -> bool:
        return self._share.granted.holds(self._own + self._reserved + estimate)

    async def _wait(self, estimate: Charge) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _refusal(self, estimate: Charge) -> str:
        cap, spent = self._share.cap, self.spent
        total, so_far, more = (
            (f"{cap.tokens:,} tokens", f"{spent.tokens:,}", f"{estimate.tokens:,}")
            if cap.holds_money(spent + estimate)
            else (f"${cap.usd:.2f}", f"${spent.usd:.4f}", f"${estimate.usd:.4f}")
        )
        return (
            f"the budget of {total} is reached: {so_far} spent, and the next call can cost {more}; "
            "raise the budget in the recipe and run it again"
        )


def subtract(one: Charge, other: Charge) -> Charge:
    """Return what `other` leaves of `one`."""
    return Charge(usd=one.usd - other.usd, tokens=one.tokens - other.tokens)
