"""Batches: calls that travel together through a provider's Batch API."""

from dataclasses import dataclass
from datetime import datetime

from kat_data.domain.call import CallRequest, Charge, Price


@dataclass(frozen=True, slots=True)
class InBatch:
    """A key that is on its way in a batch: its reply comes within a day, and nobody else may pay for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """One call of a batch, with the most that it can cost."""

    request: CallRequest
    estimate: Charge


@dataclass(slots=True, kw_only=True, eq=False)
class Batch:
    """One batch on its way: `id` is the registry's, `token` ours, told to the provider, `ident` the provider's own.

    `rows` are those that have no outcome yet, by ledger key; `size` is how many it was handed in with. An `adopted`
    batch was handed in by a worker that is gone.
    """

    id: int
    token: str
    endpoint: str
    price: Price
    created_at: datetime
    size: int
    rows: dict[bytes, BatchRow]
    ident: str | None = None
    adopted: bool = False
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """What a provider says of a batch; `results` are where its rows can be read once it has `ended`.

    `word` is the provider's own for its state. `refused` says why a batch was not taken up at all; `crowded` that it
    was for want of room, which may pass.
    """

    ident: str
    word: str
    ended: bool = False
    done: int = 0
    expires_at: datetime | None = None
    results: tuple[str, ...] = ()
    refused: str = ""
    crowded: bool = False
