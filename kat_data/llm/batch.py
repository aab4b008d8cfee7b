"""The seam to Batch APIs: many requests handed in at once, cheaper, and answered within a day."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kat_data.domain.batch import Batch, BatchRow, BatchStatus
from kat_data.domain.call import CallRequest, Reply
from kat_data.errors import RequestRejected, RunStopped


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTerms:
    """How calls of one endpoint wait for its Batch API.

    A batch holds at most `requests` (and what the provider allows). It is handed in once nothing more has come for
    `gather` seconds, is looked at every `poll` seconds at most, and unreachable providers are borne for `patience`.
    """

    requests: int = 50_000
    gather: float = 5.0
    poll: float = 60.0
    patience: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A row that ended without a reply and may be asked again: expired, cancelled, or a passing fault.

    It `counts` as a try unless the row was never taken up; `maybe_paid` says that it may have been charged.
    """

    reason: str
    maybe_paid: bool = False
    counts: bool = True


Outcome = Reply | RequestRejected | Unanswered


class BatchClient(Protocol):
    """Speaks to one endpoint's Batch API; raises what `Client` raises."""

    place: str
    """Provider and URL: who has an endpoint of the same place can fetch the batches of another."""

    max_requests: int
    max_bytes: int

    def line(self, request: CallRequest) -> bytes:
        """Return the request as it stands in a batch; its custom id is the ledger key in hex."""
        ...

    async def submit(self, token: str, lines: Sequence[bytes]) -> BatchStatus: ...

    async def find(self, batch: Batch, wanted: Mapping[bytes, BatchRow], known: Collection[str]) -> BatchStatus | None:
        """Look for a batch whose submission was not answered, of these rows, among those that are not `known`."""
        ...

    async def look(self, ident: str) -> BatchStatus: ...

    def results(
        self, status: BatchStatus, wanted: Mapping[bytes, BatchRow]
    ) -> AsyncGenerator[tuple[bytes, Outcome], None]:
        """Yield key and outcome of the wanted rows of an ended batch, in any order; those that are missing have none.

        Who iterates takes away from `wanted` what it has got.
        """
        ...

    async def close(self) -> None: ...


class BatchBook(Protocol):
    """Remembers batches beyond the life of a process, so that each is handed in once and fetched by someone."""

    async def open(self, batch: Batch) -> tuple[int, set[bytes]]:
        """Note, before it is handed in, that a batch holds its rows' keys.

        Returns its id, and the keys that are not this worker's any more and must not go with it.
        """
        ...

    async def submitted(self, batch: int, status: BatchStatus) -> None: ...

    async def progressed(self, batch: int, done: int) -> None: ...

    async def ended(self, batch: int, word: str) -> None: ...

    async def adopt(self, places: Mapping[str, str]) -> list[Batch]:
        """Take over the batches of the run's dead workers at these places, which are mapped to endpoints."""
        ...

    async def known(self, place: str) -> set[str]:
        """Return the provider's ids of all batches that were ever noted for a place."""
        ...

    async def look_up(self, keys: Collection[bytes]) -> Mapping[bytes, Reply | RunStopped | None]:
        """Say what became of keys that are waited for: a reply, or none where they are free again.

        Keys that are still in a batch are left out, unless no worker fetches it: then it says who could.
        """
        ...


class MemoryBook:
    """A book that lives as long as the process: for the REPL and for tests."""

    def __init__(self) -> None:
        self.idents: dict[int, str] = {}
        self.outcomes: dict[int, str] = {}
        self._opened = 0

    async def open(self, batch: Batch) -> tuple[int, set[bytes]]:
        self._opened += 1
        return self._opened, set()

    async def submitted(self, batch: int, status: BatchStatus) -> None:
        self.idents[batch] = status.ident

    async def progressed(self, batch: int, done: int) -> None:
        pass

    async def ended(self, batch: int, word: str) -> None:
        self.outcomes[batch] = word

    async def adopt(self, places: Mapping[str, str]) -> list[Batch]:
        return []

    async def known(self, place: str) -> set[str]:
        return set(self.idents.values())

    async def look_up(self, keys: Collection[bytes]) -> Mapping[bytes, Reply | RunStopped | None]:
        return {}
