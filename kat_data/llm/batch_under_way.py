"""One batch that was handed in: looked at until it has ended, then stored row by row."""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from kat_data.domain.batch import Batch, BatchRow, BatchStatus
from kat_data.domain.call import Charge, Reply
from kat_data.errors import EndpointDown, EndpointRefused, LeaseLost, RunStopped
from kat_data.llm.batch import BatchClient, Outcome, Unanswered
from kat_data.llm.batch_tools import CHUNK, BatchTools, says
from kat_data.llm.client import Transient
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.estimate import charge
from kat_data.logs import note

_log = logging.getLogger(__name__)

_FIRST_POLL = 1.0
_POLL_GROWTH = 1.5


class UnderWay:
    """A batch on its way: `left` are its rows without an outcome.

    What an `adopted` one can cost is held for it until it ends, outside of this process's budget.
    """

    def __init__(
        self, batch: Batch, left: dict[bytes, BatchRow], endpoint: Endpoint, tools: BatchTools, *, adopted: bool = False
    ) -> None:
        assert endpoint.batch is not None
        self.batch = batch
        self.left = left
        self.endpoint = endpoint
        self.client: BatchClient = endpoint.batch
        self._tools = tools
        self._adopted = adopted
        self._done = 0

    def tell(self, event: str, *, level: int = logging.INFO, **found: Any) -> None:
        """Note what became of the batch."""
        batch = self.batch
        where: dict[str, Any] = {
            "batch": batch.id,
            "endpoint": batch.endpoint,
            "provider_id": batch.ident,
            "rows": batch.size,
        }
        note(_log, level, event, **where, **found)

    async def find(self) -> BatchStatus | None:
        """Ask the provider for the batch, whose submission was not answered."""
        return await self.client.find(self.batch, self.left, await self._tools.book.known(self.client.place))

    async def submitted(self, status: BatchStatus) -> None:
        """Remember as what the provider knows the batch."""
        self.batch = replace(self.batch, ident=status.ident)
        await self._tools.book.submitted(self.batch.id, status)
        self.tell("batch.submitted")

    async def fetch(self) -> None:
        """Wait until the batch has ended, and store its rows."""
        counters = self._tools.counters
        counters.open += 1
        counters.rows += self.batch.size
        try:
            if (status := await self._ended()) is not None:
                await self._take(status)
        finally:
            counters.open -= 1
            counters.rows -= self.batch.size
            counters.done -= self._done

    async def give_up(self, word: str, why: Unanswered | RunStopped) -> None:
        """Release the rows that are left, close the batch, and stop the run where `why` says so."""
        self.tell("batch.ended", outcome=word, unanswered=len(self.left))
        await self._tools.release(self.left, why, reserved=not self._adopted)
        await self._tools.book.ended(self.batch.id, word)
        if isinstance(why, RunStopped):
            self._tools.waiters.end(why)

    async def _ended(self) -> BatchStatus | None:
        """Look at the batch until it has ended; none where the run stops before, or it was never handed in."""
        terms, clock, waiters = self.endpoint.terms, self._tools.clock, self._tools.waiters
        pause, silent_since, missed = _FIRST_POLL, clock.monotonic(), False
        while not waiters.stopping.is_set():
            try:
                status = await self._look()
            except Transient as error:
                if clock.monotonic() - silent_since > terms.patience:
                    raise EndpointDown(f"{error}: batches go on without us; resume the run later") from error
                wish = error.retry_after or 0.0
                self.tell("batch.unreachable", level=logging.WARNING, reason=str(error))
            else:
                wish, silent_since = 0.0, clock.monotonic()
                if status is None and not missed:
                    missed, pause = True, terms.poll  # it may be on its way still
                elif status is None:
                    await self.give_up(
                        "never handed in", Unanswered(reason="its batch was never handed in", counts=False)
                    )
                    return None
                else:
                    await self._progress(status)
                    if status.ended:
                        return status
            await waiters.pause(max(wish, min(pause, terms.poll)))
            pause *= _POLL_GROWTH
        return None

    async def _look(self) -> BatchStatus | None:
        if self.batch.ident is not None:
            return await self.client.look(self.batch.ident)
        status = await self.find()
        if status is not None:
            await self.submitted(status)
        return status

    async def _progress(self, status: BatchStatus) -> None:
        if status.done != self._done:
            self._tools.counters.done += status.done - self._done
            self._done = status.done
            await self._tools.book.progressed(self.batch.id, self._done)

    async def _take(self, status: BatchStatus) -> None:
        """Store every row of an ended batch; those without a reply are released."""
        if status.refused and not status.crowded:
            await self.give_up(status.word, EndpointRefused(status.refused))
            return
        if status.crowded:
            await self._tools.waiters.pause(self.endpoint.terms.poll)
        elif not await self._downloaded(status):
            return
        why = Unanswered(reason=status.refused or f"its batch ended as {status.word}", counts=not status.crowded)
        await self.give_up(status.word, why)

    async def _downloaded(self, status: BatchStatus) -> bool:
        """Store what the provider has of the rows; false where the run stops before all of it is read."""
        waiters, backoff = self._tools.waiters, self.endpoint.backoff
        for retry in itertools.count():
            try:
                async with aclosing(_chunks(self.client.results(status, self.left))) as chunks:
                    async for chunk in chunks:
                        await asyncio.gather(*(self._store(key, outcome) for key, outcome in chunk))
                        if waiters.stopping.is_set():
                            return False
                return True
            except Transient as error:
                if retry + 1 >= backoff.tries:
                    raise EndpointDown(f"{error}: the batch is done, resume the run to fetch its rows") from error
            if await waiters.pause(backoff.delay(retry, self._tools.rng)):
                return False
        raise AssertionError

    async def _store(self, key: bytes, outcome: Outcome) -> None:
        row = self.left.pop(key, None)
        if row is None:  # another's row, or one that came twice
            return
        if isinstance(outcome, Reply):
            cost, outcome = await self._settled(row, self.endpoint.without_key(outcome))
        else:
            lost = isinstance(outcome, Unanswered) and outcome.maybe_paid
            cost = row.estimate if lost else Charge()
            if lost:
                with suppress(LeaseLost):  # then it was charged to whoever lost it
                    await self._tools.ledger.lose(row.request, cost)
            await self._tools.ledger.release(row.request, says(outcome))
        if self._adopted:
            self._tools.budget.count(cost)
        else:
            self._tools.budget.settle(row.estimate, cost)
        self._tools.waiters.resolve(key, outcome)

    async def _settled(self, row: BatchRow, reply: Reply) -> tuple[Charge, Outcome]:
        """Store a reply; return what it cost, and what its caller gets."""
        cost = charge(reply.usage, self.batch.price)
        seconds = (self._tools.clock.now() - self.batch.created_at).total_seconds()
        try:
            await self._tools.ledger.settle(row.request, reply, cost, seconds)
        except LeaseLost:
            return Charge(), Unanswered(reason="another worker has fetched it", counts=False)
        except RunStopped:
            raise
        except Exception as error:  # the ledger has charged it; whoever waits for this row alone asks again
            return cost, Unanswered(reason=f"its reply cannot be stored: {error}")
        self._tools.paid(cost)
        return cost, reply


async def _chunks(
    rows: AsyncGenerator[tuple[bytes, Outcome], None],
) -> AsyncGenerator[list[tuple[bytes, Outcome]], None]:
    chunk: list[tuple[bytes, Outcome]] = []
    async with aclosing(rows):  # the provider's answer is left as soon as nobody reads on
        async for row in rows:
            chunk.append(row)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    if chunk:
        yield chunk
