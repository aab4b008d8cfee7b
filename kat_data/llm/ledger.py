"""The ledger's seam, and a ledger in memory: every call is reserved before it is sent and stored before it is used."""

import asyncio
from typing import Protocol

from kat_data.domain.batch import InBatch
from kat_data.domain.call import CallRequest, Charge, Reply


class Ledger(Protocol):
    """Pays every key once, over all runs and workers.

    `reserve` returns the stored reply of a key that was answered before, or none: then the caller owns the key and
    must `settle` or `release` it. While another live worker owns the key, `reserve` waits; of a key that is on its way
    in a batch it says so at once. A reservation whose worker died goes to the next caller, its estimate stays charged.
    `lose` charges a try that may have been paid without a reply; it is to be called before the next try, so that a
    kill cannot hide any.
    """

    async def reserve(self, request: CallRequest, estimate: Charge) -> Reply | InBatch | None: ...

    async def lose(self, request: CallRequest, estimate: Charge) -> None: ...

    async def settle(self, request: CallRequest, reply: Reply, charge: Charge, seconds: float) -> None: ...

    async def release(self, request: CallRequest, error: str) -> None: ...


class MemoryLedger:
    """A ledger that lives as long as the process: for the REPL and for tests."""

    def __init__(self) -> None:
        self.replies: dict[bytes, Reply] = {}
        self.charged = Charge()
        self._owned: dict[bytes, asyncio.Event] = {}

    async def reserve(self, request: CallRequest, estimate: Charge) -> Reply | None:
        key = request.key
        while key in self._owned:
            await self._owned[key].wait()
        if key in self.replies:
            return self.replies[key]
        self._owned[key] = asyncio.Event()
        return None

    async def lose(self, request: CallRequest, estimate: Charge) -> None:
        self.charged += estimate

    async def settle(self, request: CallRequest, reply: Reply, charge: Charge, seconds: float) -> None:
        self.replies[request.key] = reply
        self.charged += charge
        self._owned.pop(request.key).set()

    async def release(self, request: CallRequest, error: str) -> None:
        self._owned.pop(request.key).set()
