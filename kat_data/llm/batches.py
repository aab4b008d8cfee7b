"""Calls that wait for a Batch API: gathered and handed in here, fetched beside, and taken over from dead workers."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from kat_data.clock import Clock
from kat_data.domain.batch import Batch, BatchRow
from kat_data.domain.call import CallRequest, Charge, Price
from kat_data.errors import RequestRejected, RunStopped
from kat_data.llm.batch import BatchBook, BatchClient, Outcome, Unanswered
from kat_data.llm.batch_lane import Lane
from kat_data.llm.batch_submission import hand_in
from kat_data.llm.batch_tools import BatchCounters, BatchTools
from kat_data.llm.batch_under_way import UnderWay
from kat_data.llm.batch_waiters import Waiters
from kat_data.llm.budget import Budget
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.ledger import Ledger

# A trickle of calls is not waited for longer than so many times the silence that ends a gathering.
_LONGEST_GATHERING = 12
_WATCH_SECONDS = 10.0
_ORPHAN_LOOKS = 3


class Batches:
    """The batches of one gateway.

    Rows belong to the batch and not to their callers: they are stored also where nobody waits for them any more, as
    after a kill. What ends without a reply is released, and callers ask again: only the rest is handed in once more.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        ledger: Ledger,
        book: BatchBook,
        budget: Budget,
        clock: Clock,
        paid: Callable[[Charge], None],
        stop: Callable[[RunStopped], None],
        rng: random.Random,
    ) -> None:
        self.counters = BatchCounters()
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints if endpoint.batch is not None}
        self._book = book
        self._waiters = Waiters(clock, stop)
        self._tools = BatchTools(
            ledger=ledger,
            book=book,
            budget=budget,
            clock=clock,
            rng=rng,
            paid=paid,
            waiters=self._waiters,
            counters=self.counters,
        )
        self._lanes: dict[tuple[str, str, Price], Lane] = {}
        self._live: set[UnderWay] = set()
        self._elsewhere: set[bytes] = set()
        self._watching = False

    async def adopt(self) -> None:
        """Take over what dead workers of the run handed in."""
        for batch in await self._take_over():
            self._go_on_with(batch)

    def check(self, endpoint: str, request: CallRequest) -> None:
        """Raise `RequestRejected` where no batch can hold the request."""
        client = self._client(endpoint)
        if len(client.line(request)) > client.max_bytes:
            raise RequestRejected(f"the request is larger than the {client.max_bytes:,} bytes of a batch")

    async def buy(self, endpoint: str, request: CallRequest, price: Price, estimate: Charge) -> Outcome:
        """Hand in a call whose key and budget the caller has reserved, and return what came of it.

        Its reply is stored and paid; without one the key is free, and the reservation given back.
        """
        lane = self._lane(endpoint, request.model, price)
        lane.put(BatchRow(request=request, estimate=estimate))
        outcome = await self._waiters.outcome(request.key)
        assert outcome is not None
        return outcome

    async def settled(self, request: CallRequest) -> Outcome | None:
        """Wait for a key that is in a batch already, here or at another worker; none where it is free again."""
        self._elsewhere.add(request.key)
        self._watch()
        try:
            return await self._waiters.outcome(request.key)
        finally:
            self._elsewhere.discard(request.key)

    def stop(self, error: RunStopped) -> None:
        """Hand in nothing more, and wait for nothing: what the providers have, they keep."""
        self._waiters.end(error)

    async def close(self) -> None:
        """Finish what is being handed in or stored, and release what was not handed in."""
        async with AsyncExitStack() as closing:  # each of them, whatever the others raise
            for name in self._endpoints:
                closing.push_async_callback(self._client(name).close)
            await self._waiters.close()
            why = Unanswered(reason="the run stopped before its batch was handed in")
            for lane in self._lanes.values():
                await self._tools.release(lane.rows, why)

    def _client(self, endpoint: str) -> BatchClient:
        client = self._endpoints[endpoint].batch
        assert client is not None
        return client

    def _lane(self, endpoint: str, model: str, price: Price) -> Lane:
        key = (endpoint, model, price)
        if key not in self._lanes:
            self._lanes[key] = lane = Lane(endpoint=endpoint, price=price)
            self._waiters.spawn(self._gather(lane))
            self._watch()
        return self._lanes[key]

    async def _gather(self, lane: Lane) -> None:
        """Hand in what has come, whenever nothing more comes."""
        terms, client = self._endpoints[lane.endpoint].terms, self._client(lane.endpoint)
        while await self._filled(lane):
            most = min(terms.requests, client.max_requests)
            for _ in range(_LONGEST_GATHERING):
                seen = lane.arrivals
                if len(lane.rows) >= most or await self._waiters.pause(terms.gather) or lane.arrivals == seen:
                    break
            if self._waiters.stopping.is_set():
                return
            while lane.rows:
                rows, lines = lane.take(client, most)
                self._waiters.spawn(self._hand_in(lane, rows, lines))

    async def _filled(self, lane: Lane) -> bool:
        """Wait until the lane holds a call; false where nothing is handed in any more."""
        if not lane.rows:
            await self._waiters.either(lane.filled.wait())
        return not self._waiters.stopping.is_set()

    async def _hand_in(self, lane: Lane, rows: dict[bytes, BatchRow], lines: Sequence[bytes]) -> None:
        way = await hand_in(self._endpoints[lane.endpoint], lane.price, rows, lines, self._tools)
        if way is not None:
            await self._fetch(way)

    async def _fetch(self, way: UnderWay) -> None:
        self._live.add(way)
        try:
            await way.fetch()
        finally:
            self._live.discard(way)

    async def _take_over(self) -> list[Batch]:
        places = {self._client(name).place: name for name in self._endpoints}
        return await self._book.adopt(places) if places else []

    def _go_on_with(self, batch: Batch) -> None:
        left = {row.request.key: row for row in batch.rows}
        way = UnderWay(replace(batch, rows=()), left, self._endpoints[batch.endpoint], self._tools, adopted=True)
        way.tell("batch.adopted")
        self._waiters.spawn(self._fetch(way))
        self._watch()

    def _watch(self) -> None:
        if not self._watching and not self._waiters.stopping.is_set():
            self._watching = True
            self._waiters.spawn(self._look_around())

    async def _look_around(self) -> None:
        """Take over what workers that died meanwhile leave, and see what became of keys in batches of others."""
        orphaned: Counter[bytes] = Counter()
        while not await self._waiters.pause(_WATCH_SECONDS):
            for batch in await self._take_over():
                self._go_on_with(batch)
            if keys := {key for key in self._elsewhere if not any(key in way.left for way in self._live)}:
                for key, outcome in (await self._book.look_up(keys)).items():
                    orphaned[key] += isinstance(outcome, RunStopped)
                    # A worker of another run may be about to take the batch over.
                    if not isinstance(outcome, RunStopped) or orphaned[key] > _ORPHAN_LOOKS:
                        self._waiters.resolve(key, outcome)
