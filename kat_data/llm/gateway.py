"""The one way to models: single flight, ledger, budget, limits, retries, in this order."""

import asyncio
import copy
import random
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from kat_data.clock import Clock, SystemClock
from kat_data.domain.batch import InBatch
from kat_data.domain.call import CallRequest, Charge, Price, Reply
from kat_data.errors import BadReply, EndpointDown, EndpointFault, KatError, RequestRejected, RunStopped
from kat_data.llm.backoff import Backoff
from kat_data.llm.batch import BatchBook, MemoryBook, Outcome, Unanswered
from kat_data.llm.batch_tools import BatchCounters
from kat_data.llm.batches import Batches
from kat_data.llm.budget import Budget
from kat_data.llm.client import Transient
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.estimate import charge, upper_bound
from kat_data.llm.ledger import Ledger
from kat_data.observer import UNOBSERVED, Observer

_FREE = Price()


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a gateway has done so far; money and tokens include tries that may have been charged without a reply."""

    calls: int = 0
    reused: int = 0
    retries: int = 0
    usd: float = 0.0
    tokens: int = 0
    batches: BatchCounters = field(default_factory=BatchCounters)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Purchase:
    """One call on its way."""

    endpoint: Endpoint
    request: CallRequest
    price: Price
    estimate: Charge


class Gateway:
    """Answers every request once: from the ledger where it is stored, else from its endpoint.

    The first `RunStopped` of any caller ends the gateway: every later and every waiting call raises the same error, so
    that a run ends at once. Calls that are under way are finished and stored.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        ledger: Ledger,
        *,
        budget: Budget | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        book: BatchBook | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._ledger = ledger
        self._budget = budget or Budget()
        self._clock = clock or SystemClock()
        self._observer = observer
        self._rng = rng or random.Random()  # noqa: S311 (jitter, no secret)
        self._flights: dict[bytes, asyncio.Future[Reply | KatError | None]] = {}
        self._finishing: set[asyncio.Future[None]] = set()
        self._sleeping: set[asyncio.Future[None]] = set()
        self._stopped: RunStopped | None = None
        self._batches = Batches(
            self._endpoints.values(),
            ledger=ledger,
            book=book or MemoryBook(),
            budget=self._budget,
            clock=self._clock,
            rng=self._rng,
            paid=self._count,
            stop=self.stop,
        )
        self.counters = Counters(batches=self._batches.counters)

    async def call(self, endpoint: str, request: CallRequest, *, price: Price = _FREE, in_batch: bool = False) -> Reply:
        """Return the reply to `request`, paid for once; a cut or empty reply is a reply.

        `in_batch` sends it through the endpoint's Batch API, which takes up to a day; `price` is that of the way.

        Raises `RunStopped` where the run cannot go on, `EndpointFault` where retries did not help, `RequestRejected`
        where the endpoint refuses this request alone.
        """
        key = request.key
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait((flight,))
            if (outcome := flight.result()) is not None:
                return self._share(outcome, endpoint, request)
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        outcome = None
        try:
            outcome = await self._answer(self._endpoints[endpoint], request, price, in_batch)
            return outcome
        except KatError as error:
            outcome = error
            raise
        finally:
            # Followers of a cancelled call get nothing, and one of them takes its place.
            del self._flights[key]
            flight.set_result(outcome)

    async def adopt_batches(self) -> None:
        """Go on with the batches that dead workers left at these endpoints."""
        await self._batches.adopt()

    async def close(self) -> None:
        """Wait for what is still being stored, then close the clients."""
        async with AsyncExitStack() as closing:  # each of them, whatever the others raise
            for endpoint in self._endpoints.values():
                closing.push_async_callback(endpoint.client.close)
            closing.push_async_callback(self._stored)
            await self._batches.close()

    async def _stored(self) -> None:
        await asyncio.gather(*self._finishing, return_exceptions=True)

    async def _answer(self, endpoint: Endpoint, request: CallRequest, price: Price, in_batch: bool) -> Reply:
        tries = 0
        while True:
            self._go_on()
            asked = self._ask_in_batch(endpoint, request, price) if in_batch else self._ask(endpoint, request, price)
            outcome: Outcome | InBatch | None = await asked
            if isinstance(outcome, InBatch):
                outcome = await self._batches.settled(request)
            if isinstance(outcome, Reply):
                return outcome
            if isinstance(outcome, RequestRejected):
                raise endpoint.circuit.rejected(outcome) or outcome
            if isinstance(outcome, Unanswered) and outcome.counts:
                tries += 1
                if tries >= endpoint.backoff.tries:
                    raise EndpointFault(f"{outcome.reason}, in the last of {tries} batches")

    async def _ask(self, endpoint: Endpoint, request: CallRequest, price: Price) -> Reply | InBatch:
        async with endpoint.seats:
            self._go_on()
            estimate = upper_bound(request, price)
            stored = await self._ledger.reserve(request, estimate)
            if stored is not None:
                return self._reused(stored, endpoint.name, request)
            return await self._buy(_Purchase(endpoint=endpoint, request=request, price=price, estimate=estimate))

    async def _ask_in_batch(self, endpoint: Endpoint, request: CallRequest, price: Price) -> Outcome | InBatch:
        # What a call can cost is noted with its batch: a kill before that has cost nothing.
        stored = await self._ledger.reserve(request, Charge())
        if stored is not None:
            return self._reused(stored, endpoint.name, request)
        estimate = upper_bound(request, price)
        try:
            self._batches.check(endpoint.name, request)
            await self._budget.reserve(estimate)
        except BaseException as error:
            if isinstance(error, RunStopped):
                self.stop(error)
            await self._finish(self._ledger.release(request, str(error) or type(error).__name__))
            raise
        outcome = await self._batches.buy(endpoint.name, request, price, estimate)
        if isinstance(outcome, Reply):
            endpoint.circuit.answered()
        return outcome

    def _reused(self, stored: Reply | InBatch, endpoint: str, request: CallRequest) -> Reply | InBatch:
        if isinstance(stored, Reply):
            self._reuse(endpoint, request)
        return stored

    async def _buy(self, purchase: _Purchase) -> Reply:
        started = self._clock.monotonic()
        try:
            reply = await self._send_until_answered(purchase)
        except BaseException as error:
            if isinstance(error, RunStopped):
                self.stop(error)
            reason = str(error) or type(error).__name__
            await self._finish(self._ledger.release(purchase.request, reason))
            raise
        seconds = self._clock.monotonic() - started
        cost = charge(reply.usage, purchase.price)
        await self._finish(self._ledger.settle(purchase.request, reply, cost, seconds))
        return reply

    async def _send_until_answered(self, purchase: _Purchase) -> Reply:
        circuit, backoff = purchase.endpoint.circuit, purchase.endpoint.backoff
        answers_before = circuit.answers
        for retry in range(backoff.tries):
            try:
                return await self._send(purchase)
            except RequestRejected as error:
                raise circuit.rejected(error) or error from error.__cause__
            except Transient as error:
                fault = error
            if retry + 1 < backoff.tries:
                await self._wait_before(retry, fault, backoff)
        stop = circuit.gave_up(fault, purchase.request.key, answers_before=answers_before)
        raise stop or EndpointFault(f"{fault}, in each of {backoff.tries} tries") from fault

    async def _send(self, purchase: _Purchase) -> Reply:
        """Try once, within the endpoint's limits and pause and the run's budget."""
        limit = purchase.endpoint.limit
        generation = await limit.acquire()
        try:
            await self._budget.reserve(purchase.estimate)
            period = await self._cleared(purchase)
            reply = await self._pay(purchase, period)
        except Transient as error:
            if error.throttled:
                limit.throttled(generation)
            if error.retry_after and error.retry_after <= purchase.endpoint.backoff.patience:
                limit.pause(error.retry_after)
            raise
        finally:
            limit.release()
        limit.succeeded()
        purchase.endpoint.circuit.answered()
        return reply

    async def _cleared(self, purchase: _Purchase) -> int:
        """Wait out pauses and the endpoint's rates, so that what is drawn from them is sent now; return the period."""
        limit, tokens = purchase.endpoint.limit, purchase.estimate.tokens
        try:
            while True:
                while pause := limit.pause_left:
                    await self._wait(pause)
                period = await limit.draw(tokens)
                if not limit.pause_left:
                    return period
                limit.settle(period, tokens, None)
        except BaseException:
            self._budget.refund(purchase.estimate)
            raise

    async def _pay(self, purchase: _Purchase, period: int) -> Reply:
        """Send one request under a reservation, and turn the reservation into what the request really cost."""
        estimate, limit = purchase.estimate, purchase.endpoint.limit
        try:
            self._go_on()
            reply = purchase.endpoint.without_key(await purchase.endpoint.client.complete(purchase.request))
        except BaseException as error:
            if _cost_nothing(error):
                self._budget.refund(estimate)
                limit.settle(period, estimate.tokens, None if isinstance(error, RunStopped) else 0)
            else:
                self._spend(estimate, estimate)
                await self._finish(self._ledger.lose(purchase.request, estimate))
            raise
        self._spend(estimate, charge(reply.usage, purchase.price))
        limit.settle(period, estimate.tokens, reply.usage.total)
        self.counters.calls += 1
        return reply

    def _spend(self, estimate: Charge, actual: Charge) -> None:
        self._budget.settle(estimate, actual)
        self.counters.usd += actual.usd
        self.counters.tokens += actual.tokens

    def _count(self, actual: Charge) -> None:
        """Count a call that came back in a batch."""
        self.counters.calls += 1
        self.counters.usd += actual.usd
        self.counters.tokens += actual.tokens

    async def _wait_before(self, retry: int, fault: Transient, backoff: Backoff) -> None:
        asked = fault.retry_after or 0.0
        if asked > backoff.patience:
            raise EndpointDown(f"{fault}, and asks for a pause of {asked:.0f} s: resume the run then") from fault
        self.counters.retries += 1
        await self._wait(max(asked, backoff.delay(retry, self._rng)))

    async def _wait(self, seconds: float) -> None:
        """Sleep for `seconds`, or until the gateway stops."""
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        self._sleeping.add(sleep)
        try:
            await asyncio.wait((sleep,))
        finally:
            self._sleeping.discard(sleep)
            sleep.cancel()
        self._go_on()

    async def _finish(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` to its end, also when the caller is cancelled meanwhile: what was paid for is stored."""
        task = asyncio.ensure_future(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        await asyncio.shield(task)

    def _share(self, outcome: Reply | KatError, endpoint: str, request: CallRequest) -> Reply:
        if isinstance(outcome, KatError):
            raise copy.copy(outcome)
        self._reuse(endpoint, request)
        return outcome

    def _reuse(self, endpoint: str, request: CallRequest) -> None:
        self.counters.reused += 1
        self._observer.reused(endpoint, request.model)

    def stop(self, error: RunStopped) -> None:
        """Send nothing more: every later and every waiting call raises `error`; what is under way is stored."""
        if self._stopped is not None:
            return
        self._stopped = error
        self._budget.stop(error)
        for endpoint in self._endpoints.values():
            endpoint.limit.bypass()
        for sleep in self._sleeping:
            sleep.cancel()
        self._batches.stop(error)

    def _go_on(self) -> None:
        if self._stopped is not None:
            # A copy, because many tasks raise it and each adds its own traceback.
            raise copy.copy(self._stopped)


def _cost_nothing(error: BaseException) -> bool:
    if isinstance(error, Transient):
        return not error.maybe_paid
    return isinstance(error, (RunStopped, BadReply))
