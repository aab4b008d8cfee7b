"""Endpoints: places that serve models, each with its client, its limit, its backoff and its circuit."""

import asyncio

from kat_data.clock import Clock, SystemClock
from kat_data.llm.backoff import Backoff
from kat_data.llm.batch import BatchClient, BatchTerms
from kat_data.llm.circuit import Circuit
from kat_data.llm.client import Client
from kat_data.llm.key_mask import KeyMask
from kat_data.llm.limits import AdaptiveLimit, Limit


class Endpoint:
    """One place that serves models; at most `concurrency` requests are under way there at once.

    `batch` speaks to its Batch API, on these `terms`. `limit` is one that is shared with other processes; without it
    this one keeps its own. `key` is that of its account, which no reply keeps.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        *,
        concurrency: int = 64,
        backoff: Backoff | None = None,
        clock: Clock | None = None,
        batch: BatchClient | None = None,
        terms: BatchTerms | None = None,
        limit: Limit | None = None,
        key: str | None = None,
    ) -> None:
        self.name = name
        self.client = client
        self.without_key = KeyMask(key)
        self.backoff = backoff or Backoff()
        self.limit = limit or AdaptiveLimit(concurrency, clock or SystemClock())
        self.circuit = Circuit()
        self.batch = batch
        self.terms = terms or BatchTerms()
        # Seats bound the calls that hold a ledger key, so that a kill leaves few of them behind; they are half as many
        # again as the requests, so that waiting for the ledger does not leave the endpoint idle.
        self.seats = asyncio.Semaphore(concurrency + (concurrency + 1) // 2)
