"""A client for Anthropic's Messages API over aiohttp."""

import orjson

from kat_data.clock import Clock
from kat_data.domain.call import CallRequest, Reply
from kat_data.llm.anthropic_wire import message_body, read_message
from kat_data.llm.http import HttpEndpoint, base_url

_VERSION = "2023-06-01"


class AnthropicClient:
    """Sends each request once to POST {url}/messages; `idle_seconds` bounds the whole answer, which is not streamed."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        api_key: str | None = None,
        key_variable: str | None = None,
        idle_seconds: float = 300.0,
        clock: Clock | None = None,
    ) -> None:
        self._target = base_url(name, url) / "messages"
        self._http = anthropic_endpoint(
            name, url, api_key=api_key, key_variable=key_variable, idle_seconds=idle_seconds, clock=clock
        )

    async def complete(self, request: CallRequest) -> Reply:
        async with self._http.exchange("POST", self._target, message_body(request)) as response:
            return read_message(orjson.loads(await response.read()), request)

    async def close(self) -> None:
        await self._http.close()


def anthropic_endpoint(
    name: str,
    url: str,
    *,
    api_key: str | None,
    key_variable: str | None,
    idle_seconds: float,
    clock: Clock | None = None,
) -> HttpEndpoint:
    """Return the endpoint with the headers that Anthropic asks for."""
    return HttpEndpoint(
        name,
        url,
        api_key=api_key,
        key_variable=key_variable,
        key_header="x-api-key",
        key_format="{}",
        headers={"anthropic-version": _VERSION},
        idle_seconds=idle_seconds,
        clock=clock,
    )
