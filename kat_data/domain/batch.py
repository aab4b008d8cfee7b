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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch: `id` is the registry's, `token` ours, told to the provider, `ident` the provider's own.

    `place` is provider and URL, `rows` the calls that have no reply yet of the `size` that it was handed in with; all
    are of one model, at one price.
    """

    token: str
    endpoint: str
    place: str
    price: Price
    created_at: datetime
    size: int
    rows: tuple[BatchRow, ...]
    id: int = 0
    ident: str | None = None


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
