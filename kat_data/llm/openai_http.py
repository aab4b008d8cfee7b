"""A client for OpenAI-compatible endpoints (vLLM, SGLang, llama.cpp, DeepSeek, OpenAI …) over aiohttp."""

from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
from yarl import URL

from kat_data.clock import Clock
from kat_data.domain.call import Api, CallRequest, EmbeddingRequest, Reply
from kat_data.llm.http import HttpEndpoint, base_url
from kat_data.llm.openai_stream import gather
from kat_data.llm.openai_wire import read_reply, request_body
from kat_data.llm.reward_wire import read_rewards, reward_body


class OpenAIClient:
    """Sends each request once to POST {url}/chat/completions, or to the path of the API that it names.

    Replies longer than `stream_above` tokens at most are streamed, so that `idle_seconds` bounds the silence between
    two pieces and not the whole answer. Keys and failures are as `HttpEndpoint` has them.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        api_key: str | None = None,
        key_variable: str | None = None,
        idle_seconds: float = 300.0,
        stream_above: int = 2048,
        clock: Clock | None = None,
    ) -> None:
        self._targets = _targets(name, url)
        self._http = HttpEndpoint(
            name, url, api_key=api_key, key_variable=key_variable, idle_seconds=idle_seconds, clock=clock
        )
        self._stream_above = stream_above

    async def complete(self, request: CallRequest) -> Reply:
        if isinstance(request, EmbeddingRequest):
            from kat_data.llm.embedding_wire import embedding_body, read_embeddings  # numpy loads with it

            return await self._answer(embedding_body(request), request, read_embeddings)
        stream = request.sampling.max_tokens > self._stream_above
        if request.api is Api.CHAT:
            return await self._answer(request_body(request, stream=stream), request, read_reply)
        return await self._answer(reward_body(request), request, read_rewards)

    async def _answer(self, body: bytes, request: CallRequest, read: Callable[[Any, CallRequest], Reply]) -> Reply:
        async with self._http.exchange("POST", self._targets[request.api], body) as response:
            return read(await _document(response), request)

    async def close(self) -> None:
        await self._http.close()


def _targets(name: str, url: str) -> dict[Api, URL]:
    base = str(base_url(name, url))
    root = base.removesuffix("/v1")  # servers have what is not OpenAI's beside /v1
    beside = {api: URL(f"{root}/{api}") for api in Api}
    return beside | {Api.CHAT: URL(f"{base}/chat/completions"), Api.EMBEDDINGS: URL(f"{base}/embeddings")}


async def _document(response: aiohttp.ClientResponse) -> Any:
    # Servers may answer a request for a stream in one piece.
    if response.content_type == "text/event-stream":
        return await gather(response.content)
    return orjson.loads(await response.read())
