"""A hard cap in money and tokens: every call reserves its upper bound first and settles its real price after."""

import asyncio

from kat_data.domain.call import Charge
from kat_data.errors import BudgetExhausted

# A tenth of a nanodollar hides the rounding of sums of floats, and nothing else.
_ROUNDING = 1e-10


class Budget:
    """Keeps spent + reserved within the cap; a cap of none has no end.

    It serves the callers of one process; the registry's worth of earlier spending comes in as `spent`.
    """

    def __init__(self, *, usd: float | None = None, tokens: int | None = None, spent: Charge | None = None) -> None:
        self._usd = float("inf") if usd is None else usd
        self._tokens = float("inf") if tokens is None else tokens
        self._spent = spent or Charge()
        self._reserved = Charge()
        self._outstanding = 0
        self._changed = asyncio.Event()

    @property
    def spent(self) -> Charge:
        """What is paid for, and what cannot be got back."""
        return self._spent

    @property
    def reserved(self) -> Charge:
        """What the calls in flight can cost at most."""
        return self._reserved

    async def reserve(self, estimate: Charge) -> None:
        """Reserve `estimate`; waits while calls in flight may still give enough back, else raises `BudgetExhausted`."""
        while not self._fits(estimate):
            if not self._outstanding:
                raise BudgetExhausted(self._refusal(estimate))
            self._changed.clear()
            await self._changed.wait()
        self._outstanding += 1
        self._reserved += estimate

    def settle(self, estimate: Charge, actual: Charge) -> None:
        """Turn the reservation of `estimate` into `actual` spending."""
        self._spent += actual
        self.refund(estimate)

    def refund(self, estimate: Charge) -> None:
        """Give the reservation of `estimate` back: the call cost nothing."""
        self._outstanding -= 1
        # Back to exactly nothing, whatever the order in which floats were added and taken away.
        self._reserved = _subtract(self._reserved, estimate) if self._outstanding else Charge()
        self._changed.set()

    def adopt(self, estimate: Charge) -> None:
        """Count a call in flight that an earlier process reserved: what `spent` began with holds its estimate."""
        left = _subtract(self._spent, estimate)
        self._spent = Charge(usd=max(0.0, left.usd), tokens=max(0, left.tokens))
        self._outstanding += 1
        self._reserved += estimate

    def _fits(self, estimate: Charge) -> bool:
        usd = self._spent.usd + self._reserved.usd + estimate.usd
        tokens = self._spent.tokens + self._reserved.tokens + estimate.tokens
        return usd <= self._usd + _ROUNDING and tokens <= self._tokens

    def _refusal(self, estimate: Charge) -> str:
        short_of_money = self._spent.usd + estimate.usd > self._usd + _ROUNDING
        cap, spent, more = (
            (f"${self._usd:.2f}", f"${self._spent.usd:.4f}", f"${estimate.usd:.4f}")
            if short_of_money
            else (f"{self._tokens:,} tokens", f"{self._spent.tokens:,}", f"{estimate.tokens:,}")
        )
        return (
            f"the budget of {cap} is reached: {spent} spent, and the next call can cost {more}; "
            "raise the budget in the recipe and run it again"
        )


def _subtract(one: Charge, other: Charge) -> Charge:
    return Charge(usd=one.usd - other.usd, tokens=one.tokens - other.tokens)
