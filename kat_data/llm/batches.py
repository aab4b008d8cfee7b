"""Calls that wait for a Batch API: gathered, handed in, looked at, and stored as their rows come back."""

import asyncio
import copy
import itertools
import logging
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from kat_data.clock import Clock
from kat_data.domain.batch import Batch, BatchRow, BatchStatus
from kat_data.domain.call import CallRequest, Charge, Price, Reply
from kat_data.errors import EndpointDown, EndpointRefused, KatError, LeaseLost, RequestRejected, RunStopped
from kat_data.llm.batch import BatchBook, BatchClient, Outcome, Unanswered
from kat_data.llm.batch_lane import Lane
from kat_data.llm.budget import Budget
from kat_data.llm.client import Transient
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.estimate import charge
from kat_data.llm.ledger import Ledger
from kat_data.logs import note

_log = logging.getLogger(__name__)

# A trickle of calls is not waited for longer than so many times the silence that ends a gathering.
_LONGEST_GATHERING = 12
_FIRST_POLL = 1.0
_POLL_GROWTH = 1.5
_CHUNK = 256  # rows stored at once: as many as the ledger commits together
_LOST_ANSWER = 5.0  # seconds for a provider to list what it may have taken
_WATCH_SECONDS = 10.0
_ORPHAN_LOOKS = 3


@dataclass(slots=True, kw_only=True)
class BatchCounters:
    """What is on its way: batches, their rows, and how many of these the providers have done."""

    open: int = 0
    rows: int = 0
    done: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class _Underway:
    """A batch on its way: `left` are its rows without an outcome, `done` is how far the provider says it is.

    What an `adopted` one can cost is held for it until it ends, outside of this process's budget.
    """

    batch: Batch
    left: dict[bytes, BatchRow]
    adopted: bool = False
    done: int = 0


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
        self._ledger = ledger
        self._book = book
        self._budget = budget
        self._clock = clock
        self._paid = paid
        self._stop = stop
        self._lanes: dict[tuple[str, str, Price], Lane] = {}
        self._live: dict[int, _Underway] = {}
        self._waiting: dict[bytes, asyncio.Future[Outcome | Exception | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._elsewhere: set[bytes] = set()
        self._stopping = asyncio.Event()
        self._broken: Exception | None = None
        self._watching = False
        self._rng = rng

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
        outcome = await self._outcome(request.key)
        assert outcome is not None
        return outcome

    async def settled(self, request: CallRequest) -> Outcome | None:
        """Wait for a key that is in a batch already, here or at another worker; none where it is free again."""
        self._elsewhere.add(request.key)
        self._watch()
        try:
            return await self._outcome(request.key)
        finally:
            self._elsewhere.discard(request.key)

    def stop(self, error: RunStopped) -> None:
        """Hand in nothing more, and wait for nothing: what the providers have, they keep."""
        self._end(error)

    async def close(self) -> None:
        """Finish what is being handed in or stored, and release what was not handed in."""
        self._stopping.set()
        while self._tasks:
            await asyncio.wait(self._tasks)
        for lane in self._lanes.values():
            await self._release(lane.rows, Unanswered(reason="the run stopped before its batch was handed in"))
        for name in self._endpoints:
            await self._client(name).close()

    def _client(self, endpoint: str) -> BatchClient:
        client = self._endpoints[endpoint].batch
        assert client is not None
        return client

    # Gathering

    def _lane(self, endpoint: str, model: str, price: Price) -> Lane:
        key = (endpoint, model, price)
        if key not in self._lanes:
            self._lanes[key] = lane = Lane(endpoint=endpoint, price=price)
            self._spawn(self._gather(lane))
            self._watch()
        return self._lanes[key]

    async def _gather(self, lane: Lane) -> None:
        """Hand in what has come, whenever nothing more comes."""
        terms, client = self._endpoints[lane.endpoint].terms, self._client(lane.endpoint)
        while await self._filled(lane):
            most = min(terms.requests, client.max_requests)
            for _ in range(_LONGEST_GATHERING):
                seen = lane.arrivals
                if len(lane.rows) >= most or await self._pause(terms.gather) or lane.arrivals == seen:
                    break
            if self._stopping.is_set():
                return
            while lane.rows:
                rows, lines = lane.take(client, most)
                self._spawn(self._hand_in(lane, rows, lines))

    async def _filled(self, lane: Lane) -> bool:
        """Wait until the lane holds a call; false where nothing is handed in any more."""
        if not lane.rows:
            await self._first_of(lane.filled.wait(), self._stopping.wait())
        return not self._stopping.is_set()

    # One batch, from its start to its last row

    async def _hand_in(self, lane: Lane, rows: dict[bytes, BatchRow], lines: Sequence[bytes]) -> None:
        batch = Batch(
            token=secrets.token_hex(12),
            endpoint=lane.endpoint,
            place=self._client(lane.endpoint).place,
            price=lane.price,
            created_at=self._clock.now(),
            size=len(rows),
            rows=tuple(rows.values()),
        )
        ident, lost = await self._book.open(batch)
        lines = [line for key, line in zip(rows, lines, strict=True) if key not in lost]
        for key in lost:
            self._budget.refund(rows.pop(key).estimate)
            self._resolve(key, Unanswered(reason="its key went to another worker", counts=False))
        way = _Underway(batch=replace(batch, id=ident, size=len(rows), rows=()), left=rows)
        if not way.left:
            await self._book.ended(ident, "never handed in")
        elif await self._submit(way, lines):
            await self._fetch(way)

    async def _submit(self, way: _Underway, lines: Sequence[bytes]) -> bool:
        """Hand the batch in, once: after a lost answer the provider is asked for it before another try."""
        client, endpoint = self._client(way.batch.endpoint), self._endpoints[way.batch.endpoint]
        began, unsure = self._clock.monotonic(), False
        for retry in itertools.count():
            try:
                status = await self._found(way) if unsure else None
                unsure = False
                status = status or await client.submit(way.batch.token, lines)
                await self._submitted(way, status)
                return True
            except Transient as error:
                fault = error
                unsure = unsure or not (error.unreachable or error.throttled)
            except (RequestRejected, RunStopped) as error:
                whole = EndpointRefused(f"{error}: the whole batch is refused, correct the recipe")
                await self._not_handed_in(way, unsure, error if isinstance(error, RunStopped) else whole)
                return False
            if self._clock.monotonic() - began > endpoint.terms.patience:
                break
            wait = max(fault.retry_after or 0.0, endpoint.backoff.delay(retry, self._rng))
            if await self._pause(max(wait, _LOST_ANSWER) if unsure else wait):
                break
        down = EndpointDown(f"{fault}: no batch can be handed in; resume the run later")
        await self._not_handed_in(way, unsure, self._broken if isinstance(self._broken, RunStopped) else down)
        return False

    async def _not_handed_in(self, way: _Underway, unsure: bool, why: RunStopped) -> None:
        """Stop the run; where an answer was lost, the next process finds out whether the batch was handed in."""
        if unsure:
            self._end(why)
        else:
            await self._give_up(way, "not handed in", why)

    async def _submitted(self, way: _Underway, status: BatchStatus) -> None:
        way.batch = replace(way.batch, ident=status.ident)
        await self._book.submitted(way.batch.id, status)
        _tell("batch.submitted", way)

    async def _found(self, way: _Underway) -> BatchStatus | None:
        client = self._client(way.batch.endpoint)
        return await client.find(way.batch, way.left, await self._book.known(client.place))

    async def _fetch(self, way: _Underway) -> None:
        """Wait until the batch has ended, and store its rows."""
        self._live[way.batch.id] = way
        self.counters.open += 1
        self.counters.rows += way.batch.size
        try:
            if (status := await self._ended(way)) is not None:
                await self._take(way, status)
        finally:
            del self._live[way.batch.id]
            self.counters.open -= 1
            self.counters.rows -= way.batch.size
            self.counters.done -= way.done

    async def _ended(self, way: _Underway) -> BatchStatus | None:
        """Look at the batch until it has ended; none where the run stops before, or it was never handed in."""
        terms = self._endpoints[way.batch.endpoint].terms
        pause, silent_since, missed = _FIRST_POLL, self._clock.monotonic(), False
        while not self._stopping.is_set():
            try:
                status = await self._look(way)
            except Transient as error:
                if self._clock.monotonic() - silent_since > terms.patience:
                    raise EndpointDown(f"{error}: batches go on without us; resume the run later") from error
                wish = error.retry_after or 0.0
                _tell("batch.unreachable", way, level=logging.WARNING, reason=str(error))
            else:
                wish, silent_since = 0.0, self._clock.monotonic()
                if status is None and not missed:
                    missed, pause = True, terms.poll  # it may be on its way still
                elif status is None:
                    never = Unanswered(reason="its batch was never handed in", counts=False)
                    await self._give_up(way, "never handed in", never)
                    return None
                else:
                    await self._progress(way, status)
                    if status.ended:
                        return status
            await self._pause(max(wish, min(pause, terms.poll)))
            pause *= _POLL_GROWTH
        return None

    async def _look(self, way: _Underway) -> BatchStatus | None:
        if way.batch.ident is not None:
            return await self._client(way.batch.endpoint).look(way.batch.ident)
        status = await self._found(way)
        if status is not None:
            await self._submitted(way, status)
        return status

    async def _progress(self, way: _Underway, status: BatchStatus) -> None:
        if status.done != way.done:
            self.counters.done += status.done - way.done
            way.done = status.done
            await self._book.progressed(way.batch.id, way.done)

    async def _take(self, way: _Underway, status: BatchStatus) -> None:
        """Store every row of an ended batch; those without a reply are released."""
        if status.refused and not status.crowded:
            await self._give_up(way, status.word, EndpointRefused(status.refused))
            return
        if status.crowded:
            await self._pause(self._endpoints[way.batch.endpoint].terms.poll)
        elif not await self._downloaded(way, status):
            return
        why = Unanswered(reason=status.refused or f"its batch ended as {status.word}", counts=not status.crowded)
        await self._give_up(way, status.word, why)

    async def _downloaded(self, way: _Underway, status: BatchStatus) -> bool:
        """Store what the provider has of the rows; false where the run stops before all of it is read."""
        endpoint, client = self._endpoints[way.batch.endpoint], self._client(way.batch.endpoint)
        for retry in itertools.count():
            try:
                async for chunk in _chunks(client.results(status, way.left)):
                    await asyncio.gather(*(self._store(way, key, outcome) for key, outcome in chunk))
                    if self._stopping.is_set():
                        return False
                return True
            except Transient as error:
                if retry + 1 >= endpoint.backoff.tries:
                    raise EndpointDown(f"{error}: the batch is done, resume the run to fetch its rows") from error
            if await self._pause(endpoint.backoff.delay(retry, self._rng)):
                return False
        raise AssertionError

    async def _store(self, way: _Underway, key: bytes, outcome: Outcome) -> None:
        row = way.left.pop(key, None)
        if row is None:  # another's row, or one that came twice
            return
        if isinstance(outcome, Reply):
            cost = charge(outcome.usage, way.batch.price)
            seconds = (self._clock.now() - way.batch.created_at).total_seconds()
            try:
                await self._ledger.settle(row.request, outcome, cost, seconds)
                self._paid(cost)
            except LeaseLost:
                cost, outcome = Charge(), Unanswered(reason="another worker has fetched it", counts=False)
        else:
            lost = isinstance(outcome, Unanswered) and outcome.maybe_paid
            cost = row.estimate if lost else Charge()
            if lost:
                with suppress(LeaseLost):  # then it was charged to whoever lost it
                    await self._ledger.lose(row.request, cost)
            await self._ledger.release(row.request, _says(outcome))
        self._settle(way, row, cost)
        self._resolve(key, outcome)

    def _settle(self, way: _Underway, row: BatchRow, cost: Charge) -> None:
        if way.adopted:
            self._budget.count(cost)
        else:
            self._budget.settle(row.estimate, cost)

    async def _give_up(self, way: _Underway, word: str, why: "Unanswered | KatError") -> None:
        """Release the rows that are left, close the batch, and stop the run where `why` says so."""
        _tell("batch.ended", way, outcome=word, unanswered=len(way.left))
        await self._release(way.left, why, reserved=not way.adopted)
        await self._book.ended(way.batch.id, word)
        if isinstance(why, RunStopped):
            self._end(why)

    async def _release(
        self, rows: dict[bytes, BatchRow], why: "Unanswered | KatError", *, reserved: bool = True
    ) -> None:
        while rows:
            some = [(key, rows.pop(key)) for key in list(rows)[:_CHUNK]]
            await asyncio.gather(*(self._ledger.release(row.request, _says(why)) for _, row in some))
            for key, row in some:
                if reserved:
                    self._budget.refund(row.estimate)
                self._resolve(key, why)

    # Keys that are in batches of others

    async def _take_over(self) -> list[Batch]:
        places = {self._client(name).place: name for name in self._endpoints}
        return await self._book.adopt(places) if places else []

    def _go_on_with(self, batch: Batch) -> None:
        left = {row.request.key: row for row in batch.rows}
        way = _Underway(batch=replace(batch, rows=()), left=left, adopted=True)
        _tell("batch.adopted", way)
        self._spawn(self._fetch(way))
        self._watch()

    def _watch(self) -> None:
        if not self._watching and not self._stopping.is_set():
            self._watching = True
            self._spawn(self._look_around())

    async def _look_around(self) -> None:
        """Take over what workers that died meanwhile leave, and see what became of keys in batches of others."""
        orphaned: Counter[bytes] = Counter()
        while not await self._pause(_WATCH_SECONDS):
            for batch in await self._take_over():
                self._go_on_with(batch)
            here = [way.left for way in self._live.values()]
            if keys := {key for key in self._elsewhere if not any(key in rows for rows in here)}:
                for key, outcome in (await self._book.look_up(keys)).items():
                    orphaned[key] += isinstance(outcome, RunStopped)
                    # A worker of another run may be about to take the batch over.
                    if not isinstance(outcome, RunStopped) or orphaned[key] > _ORPHAN_LOOKS:
                        self._resolve(key, outcome)

    # Waiting

    async def _outcome(self, key: bytes) -> Outcome | None:
        """Wait for what becomes of a key; raises what stopped the run, or broke this part of it."""
        if self._broken is not None:
            raise copy.copy(self._broken)
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await future
        finally:
            self._waiting.pop(key, None)
        if isinstance(outcome, Exception) and not isinstance(outcome, RequestRejected):
            raise copy.copy(outcome)
        return cast("Outcome | None", outcome)

    def _resolve(self, key: bytes, outcome: "Outcome | Exception | None") -> None:
        future = self._waiting.get(key)
        if future is not None and not future.done():
            future.set_result(outcome)

    def _end(self, error: Exception) -> None:
        """Let nobody wait any more: everyone gets `error`, now and later."""
        if self._broken is None:
            self._broken = error
            self._stopping.set()
            for key in list(self._waiting):
                self._resolve(key, error)
            if isinstance(error, RunStopped):
                self._stop(error)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:
            self._end(error)

    async def _pause(self, seconds: float) -> bool:
        """Sleep for `seconds`, or until the batches stop; whether they do."""
        await self._first_of(self._clock.sleep(seconds), self._stopping.wait())
        return self._stopping.is_set()

    async def _first_of(self, *works: Coroutine[None, None, object]) -> None:
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def _tell(event: str, way: _Underway, *, level: int = logging.INFO, **found: Any) -> None:
    batch = way.batch
    where: dict[str, Any] = {
        "batch": batch.id,
        "endpoint": batch.endpoint,
        "provider_id": batch.ident,
        "rows": batch.size,
    }
    note(_log, level, event, **where, **found)


async def _chunks(rows: AsyncIterator[tuple[bytes, Outcome]]) -> AsyncIterator[list[tuple[bytes, Outcome]]]:
    chunk: list[tuple[bytes, Outcome]] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _says(why: "Unanswered | KatError") -> str:
    return why.reason if isinstance(why, Unanswered) else str(why)
