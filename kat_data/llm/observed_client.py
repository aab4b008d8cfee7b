"""A client that tells how each request went: to the observer every one, to the logs the troubles."""

import asyncio
import logging
from typing import Any

from kat_data.clock import Clock, SystemClock
from kat_data.domain.call import CallRequest, Reply
from kat_data.errors import RequestRejected, RunStopped
from kat_data.llm.client import Client, Transient
from kat_data.logs import Seldom, note
from kat_data.observer import Observer

_log = logging.getLogger(__name__)


class ObservedClient:
    """Passes requests on to the client of one endpoint."""

    def __init__(self, client: Client, endpoint: str, observer: Observer, clock: Clock | None = None) -> None:
        self._client = client
        self._endpoint = endpoint
        self._observer = observer
        self._clock = clock or SystemClock()
        self._seldom = Seldom()

    async def complete(self, request: CallRequest) -> Reply:
        start = self._clock.monotonic()
        try:
            reply = await self._client.complete(request)
        except BaseException as error:
            self._failed(request, error, self._clock.monotonic() - start)
            raise
        self._observer.tried(
            self._endpoint,
            request.model,
            "answered",
            self._clock.monotonic() - start,
            prompt_tokens=reply.usage.prompt_tokens,
            completion_tokens=reply.usage.completion_tokens,
        )
        return reply

    async def close(self) -> None:
        await self._client.close()

    def _failed(self, request: CallRequest, error: BaseException, seconds: float) -> None:
        outcome = outcome_of(error)
        self._observer.tried(self._endpoint, request.model, outcome, seconds)
        where: dict[str, Any] = {"endpoint": self._endpoint, "model": request.model, "seconds": seconds}
        note(_log, logging.DEBUG, "call.failed", outcome=outcome, reason=str(error), **where)
        pause = error.retry_after if isinstance(error, Transient) else None
        if outcome in _TROUBLES and (times := self._seldom(outcome)):
            event = "endpoint.paused" if pause else f"endpoint.{outcome}"
            found: dict[str, Any] = {"endpoint": self._endpoint, "times": times, "reason": str(error)}
            note(_log, logging.WARNING, event, **found | ({"pause": pause} if pause else {}))


def outcome_of(error: BaseException) -> str:
    """Return how a request went that raised `error`.

    One of `throttled`, `unreachable`, `faulty` (5xx, timeout, broken connection), `refused`, `rejected`, `cancelled`,
    `defect`.
    """
    match error:
        case Transient(throttled=True):
            return "throttled"
        case Transient(unreachable=True):
            return "unreachable"
        case Transient():
            return "faulty"
        case RunStopped():
            return "refused"
        case RequestRejected():
            return "rejected"
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "defect"


_TROUBLES = frozenset({"throttled", "unreachable", "faulty", "refused"})
