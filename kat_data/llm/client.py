"""The seam to model endpoints: a client sends one request and returns one reply."""

from typing import Protocol

from kat_data.domain.call import CallRequest, Reply


class Client(Protocol):
    """Sends requests to one endpoint, each once; retries belong to the gateway.

    `complete` raises `EndpointRefused` or `RecordingMiss` where asking again cannot help, `RequestRejected` where it
    cannot help for this request alone, `Transient` where it may.
    """

    async def complete(self, request: CallRequest) -> Reply: ...

    async def close(self) -> None: ...


class Transient(Exception):
    """One try failed in a way that may pass: 408, 429, 5xx, a timeout, a broken or refused connection.

    `retry_after` is the endpoint's own wish in seconds; `throttled` says that it wants fewer calls at once (429, 503);
    `unreachable` says that no connection was made; `maybe_paid` says that the request was sent and may have been
    charged.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        throttled: bool = False,
        unreachable: bool = False,
        maybe_paid: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.throttled = throttled
        self.unreachable = unreachable
        self.maybe_paid = maybe_paid
