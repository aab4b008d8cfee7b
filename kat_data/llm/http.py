"""One endpoint over HTTP: its session, its key, and what each way of failing means for a caller."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import aiohttp
import orjson
from yarl import URL

from kat_data.clock import Clock, SystemClock
from kat_data.errors import EndpointRefused, RecipeError, RequestRejected
from kat_data.llm.client import Transient
from kat_data.llm.status import MAYBE_PAID, PASSING, REJECTED, THROTTLED, retry_after, short
from kat_data.redaction import hide

Arguments = ParamSpec("Arguments")
Read = TypeVar("Read")

_CORRECT = "correct the recipe"
_CONNECT_SECONDS = 10.0
# uvicorn drops idle connections after five seconds; a request that meets a dropped one might be paid twice.
_KEEPALIVE_SECONDS = 4.0
_LINE_BYTES = 2**20


class HttpEndpoint:
    """Sends each request once; failures are the `Client` protocol's.

    The key never leaves the request's header `key_header`: no error text holds it. `key_variable` names where it came
    from, for the line that a refused user reads; `RecipeError` refuses a key that no header can hold.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        api_key: str | None = None,
        key_variable: str | None = None,
        key_header: str = "Authorization",
        key_format: str = "Bearer {}",
        headers: Mapping[str, str] | None = None,
        idle_seconds: float = 300.0,
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._url = base_url(name, url)
        check_key(name, api_key, key_variable)
        self._api_key = api_key
        hide(api_key)
        self._key_variable = key_variable
        self._headers = {**(headers or {}), **({key_header: key_format.format(api_key)} if api_key else {})}
        self._idle_seconds = idle_seconds
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def exchange(
        self, method: str, url: URL, data: Any = None, *, missing: str = _CORRECT
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and give its good response; `missing` is the advice where the path is unknown.

        Bytes and files are sent as JSON. Raises what `Client.complete` raises, also for what goes wrong while the
        caller reads.
        """
        try:
            async with await self._sent(method, url, data) as response:
                if response.status != 200:
                    raise self._refusal(response, await response.read(), missing)
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._broken(error) from error
        except ValueError as error:
            raise self._unreadable(error) from error

    async def ask(
        self, method: str, url: URL, read: Callable[[Any], Read], data: Any = None, *, missing: str = _CORRECT
    ) -> Read:
        """Send one request and return what `read` makes of the JSON that answers it."""
        async with self.exchange(method, url, data, missing=missing) as response:
            return read(orjson.loads(await response.read()))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _sent(self, method: str, url: URL, data: Any) -> aiohttp.ClientResponse:
        form = data is None or isinstance(data, aiohttp.FormData)
        headers = None if form else {"Content-Type": "application/json"}
        try:
            return await self._opened().request(method, url, data=data, headers=headers, allow_redirects=False)
        except ValueError as error:  # aiohttp's for a URL or a header that it cannot write: nothing has left
            says = self._clean(str(error))
            raise EndpointRefused(f"{self._where} cannot be asked ({says}): correct its URL or key") from error

    def _opened(self) -> aiohttp.ClientSession:
        # A session belongs to the running loop, so the first call makes it and not the constructor.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=_CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=self._idle_seconds
                ),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=_LINE_BYTES,
            )
        return self._session

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes, missing: str) -> Exception:
        status, says = response.status, self._short(body)
        if status in {401, 403}:
            return EndpointRefused(f"{self._where} refuses the key (HTTP {status}): {self._key_advice}")
        if status == 404:
            return EndpointRefused(f"{self._where} has no such path or model (HTTP 404{says}): {missing}")
        if status in REJECTED:
            return RequestRejected(f"{self._where} rejects the request (HTTP {status}{says})")
        if status in PASSING or status >= 500:
            return Transient(
                f"{self._where} answers HTTP {status}{says}",
                retry_after=retry_after(response.headers.get("Retry-After", ""), self._clock.now()),
                throttled=status in THROTTLED,
                maybe_paid=status in MAYBE_PAID,
            )
        return EndpointRefused(f"{self._where} refuses calls (HTTP {status}{says}): correct its URL or account")

    def _broken(self, error: Exception) -> Exception:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return EndpointRefused(f"{self._where} has a certificate that this machine does not trust: correct either")
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            return Transient(f"{self._where} cannot be reached", unreachable=True)
        if isinstance(error, TimeoutError):
            return Transient(f"{self._where} was silent for {self._idle_seconds:g} s", maybe_paid=True)
        return Transient(f"{self._where} broke the connection ({type(error).__name__})", maybe_paid=True)

    def _unreadable(self, error: ValueError) -> Transient:
        # A body that is no completion is a proxy's page or half an answer far more often than a model's doing.
        return Transient(f"{self._where} sent a body that cannot be read: {self._clean(str(error))}", maybe_paid=True)

    def _short(self, body: bytes) -> str:
        # The key goes first of all: cutting or tidying the text could leave a part of it that nobody finds.
        text = self._clean(_message(body.replace(self._api_key.encode(), b"***") if self._api_key else body))
        return f": {text}" if text else ""

    def _clean(self, text: str) -> str:
        return short(text, self._api_key)

    @property
    def _where(self) -> str:
        return f"endpoint {self._name} ({self._url.origin()})"

    @property
    def _key_advice(self) -> str:
        if self._key_variable is None:
            return "name the environment variable that holds its key as `key_env` in the recipe"
        return f"set {self._key_variable} to a valid key"


def base_url(name: str, url: str) -> URL:
    """Return the URL under which an endpoint's paths stand; raises `RecipeError` where it is none."""
    with suppress(ValueError):
        base = URL(url.rstrip("/"))
        if base.scheme in {"http", "https"} and base.host:
            return base
    raise RecipeError(f"endpoint {name} has no usable URL ({url!r}): write one such as http://127.0.0.1:8000/v1")


def check_key(name: str, key: str | None, variable: str | None) -> None:
    """Raise `RecipeError` where no header can hold the key; the text names its variable, and never the key."""
    if key and not key.isprintable():
        place = f"in {variable} " if variable else ""
        raise RecipeError(
            f"the key {place}of endpoint {name} holds a control character (a line break, say): set it to the key alone"
        )


def _message(body: bytes) -> str:
    """Return the error text of a body: OpenAI's `error.message` where it is there, else the body's beginning."""
    try:
        error: Any = orjson.loads(body)
        error = error.get("error", error)
        return str(error["message"] if isinstance(error, dict) else error)
    except (AttributeError, KeyError, ValueError):
        return re.sub(r"<[^>]*>", " ", body[:4096].decode(errors="replace"))


def readable(read: Callable[Arguments, Read]) -> Callable[Arguments, Read]:
    """Let `read` raise `ValueError` also where a document is of another shape than it should be."""

    @wraps(read)
    def safely(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Read:
        try:
            return read(*args, **kwargs)
        except (AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"it is of another shape ({type(error).__name__}: {error})") from error

    return safely


async def lines_of(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of a body of any size, each of any length; empty ones are left out."""
    rest = b""
    async for piece in response.content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
