"""What every batch of a gateway works with, and the release of rows that get no reply."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from kat_data.clock import Clock
from kat_data.domain.batch import BatchRow
from kat_data.domain.call import Charge
from kat_data.errors import RequestRejected, RunStopped
from kat_data.llm.batch import BatchBook, Unanswered
from kat_data.llm.batch_waiters import Waiters
from kat_data.llm.budget import Budget
from kat_data.llm.ledger import Ledger

CHUNK = 256
"""Rows stored at once: as many as the ledger commits together."""


@dataclass(slots=True, kw_only=True)
class BatchCounters:
    """What is on its way: batches, their rows, and how many of these the providers have done."""

    open: int = 0
    rows: int = 0
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTools:
    """Shared by all batches of a gateway; `paid` is told of each call that was answered."""

    ledger: Ledger
    book: BatchBook
    budget: Budget
    clock: Clock
    rng: random.Random
    paid: Callable[[Charge], None]
    waiters: Waiters
    counters: BatchCounters

    async def release(
        self, rows: dict[bytes, BatchRow], why: Unanswered | RunStopped, *, reserved: bool = True
    ) -> None:
        """Free the keys of rows that get no reply, and tell their callers; `reserved` money goes back to the budget."""
        while rows:
            some = [(key, rows.pop(key)) for key in list(rows)[:CHUNK]]
            await asyncio.gather(*(self.ledger.release(row.request, says(why)) for _, row in some))
            for key, row in some:
                if reserved:
                    self.budget.refund(row.estimate)
                self.waiters.resolve(key, why)


def says(why: Unanswered | RequestRejected | RunStopped) -> str:
    """Return why a row has no reply."""
    return why.reason if isinstance(why, Unanswered) else str(why)
