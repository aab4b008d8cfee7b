"""How much may be spent: caps in money and tokens, and one worker's share of a run's."""

from dataclasses import dataclass, field

from kat_data.domain.call import Charge

# A tenth of a nanodollar hides the rounding of sums of floats, and nothing else.
_ROUNDING = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that may be spent; what is none has no end."""

    usd: float | None = None
    tokens: int | None = None

    def holds(self, charge: Charge) -> bool:
        """Whether `charge` stays within."""
        return self.holds_money(charge) and (self.tokens is None or charge.tokens <= self.tokens)

    def holds_money(self, charge: Charge) -> bool:
        """Whether the money of `charge` stays within."""
        return self.usd is None or charge.usd <= self.usd + _ROUNDING

    def less(self, charge: Charge) -> "Cap":
        """Return what `charge` leaves."""
        return Cap(
            usd=None if self.usd is None else self.usd - charge.usd,
            tokens=None if self.tokens is None else self.tokens - charge.tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One worker's part of a run's money: `granted` bounds what it spends, of the run's `cap`.

    `others` is what everybody else has spent, and what nobody can give back.
    """

    granted: Cap = Cap()
    cap: Cap = Cap()
    others: Charge = field(default_factory=Charge)
