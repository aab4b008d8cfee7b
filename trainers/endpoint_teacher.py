"""A teacher behind an OpenAI-compatible endpoint that tells the log-probabilities of a prompt."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import orjson

from kat_data.errors import ConfigError, EndpointDown, EndpointFault, EndpointRefused, RequestRejected
from trainers.teacher_cache import Teaching
from trainers.teachers import Asked, length

_TRIES: Final = 6
_FIRST_WAIT: Final = 1.0
"""Seconds before the second try; each later wait is twice as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible server; `dialect` is how it tells the log-probabilities of a prompt.

    `vllm` asks for `prompt_logprobs` (start the server with `--max-logprobs` of at least K), `echo` for the prompt
    to be echoed with `logprobs`. The key of the API is read from the environment.
    """

    url: str
    name: str
    dialect: Literal["vllm", "echo"] = "vllm"
    key_variable: str | None = None
    concurrency: int = 8
    idle_seconds: float = 600.0


class EndpointTeacher:
    """A model behind an endpoint; a passing fault is retried, and what the endpoint refuses is one clear line."""

    def __init__(self, endpoint: Endpoint, k: int, tokens_at_once: int = 2**17) -> None:
        self._endpoint = endpoint
        self._k = k
        self.tokens_at_once = tokens_at_once

    def say(self, asked: Sequence[Asked]) -> list[Teaching]:
        return asyncio.run(self._say(asked))

    async def _say(self, asked: Sequence[Asked]) -> list[Teaching]:
        import aiohttp

        limit = asyncio.Semaphore(self._endpoint.concurrency)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=self._endpoint.idle_seconds)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers()) as session:

            async def one(row: Asked) -> Teaching:
                async with limit:
                    return self._read(await self._post(session, self._request(row)), row)

            try:
                async with asyncio.TaskGroup() as tasks:
                    running = [tasks.create_task(one(row)) for row in asked]
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from None  # one line for the user: the others were cancelled for it
        return [task.result() for task in running]

    def _headers(self) -> dict[str, str]:
        variable = self._endpoint.key_variable
        if variable is None:
            return {}
        if variable not in os.environ:
            raise ConfigError(f"teacher {self._endpoint.name}: {variable} is not set in the environment")
        return {"Authorization": f"Bearer {os.environ[variable]}"}

    def _request(self, row: Asked) -> dict[str, Any]:
        request = {"model": self._endpoint.name, "prompt": row.prompt + row.tokens, "max_tokens": 1, "temperature": 0}
        if self._endpoint.dialect == "vllm":
            return request | {"prompt_logprobs": self._k}
        return request | {"echo": True, "logprobs": self._k}

    async def _post(self, session: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        import aiohttp

        url, why = f"{self._endpoint.url.rstrip('/')}/completions", ""
        for attempt in range(_TRIES):
            wait = _FIRST_WAIT * 2.0**attempt
            try:
                body = orjson.dumps(request)
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
                    data = await reply.read()
                    if reply.status == 200:
                        found: dict[str, Any] = orjson.loads(data)
                        return found
                    why = f"HTTP {reply.status}: {data.decode(errors='replace')[:200]}"
                    if reply.status in (401, 403, 404):
                        raise EndpointRefused(f"teacher {self._endpoint.name}: {why}")
                    if 400 <= reply.status < 500 and reply.status not in (408, 429):
                        raise RequestRejected(f"teacher {self._endpoint.name}: {why}")
                    wait = _seconds(reply.headers.get("Retry-After")) or wait
            except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
                why = f"{type(error).__name__}: {error}"
            if attempt + 1 < _TRIES:
                await asyncio.sleep(wait)
        raise (EndpointFault if why.startswith("HTTP") else EndpointDown)(f"teacher {self._endpoint.name}: {why}")

    def _read(self, reply: Mapping[str, Any], row: Asked) -> Teaching:
        try:
            places = self._places(reply["choices"][0], row)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EndpointRefused(
                f"teacher {self._endpoint.name}: the reply holds no log-probabilities of the prompt as the dialect "
                f"{self._endpoint.dialect} has them: {type(error).__name__}: {error}"
            ) from error
        n = len(row.tokens)
        top, top_ids = np.full((n, self._k), -np.inf, np.float32), np.full((n, self._k), -1, np.int32)
        for place, (_, largest) in enumerate(places):
            best = sorted(largest, reverse=True)[: self._k]
            top[place, : len(best)] = [logprob for logprob, _ in best]
            top_ids[place, : len(best)] = [token for _, token in best]
        return Teaching(
            own=np.array([own for own, _ in places], np.float32),
            top=top.astype(np.float16),
            top_ids=top_ids,
            tail=np.clip(1 - np.exp(top).sum(-1), 0, 1).astype(np.float32),
        )

    def _places(self, choice: Mapping[str, Any], row: Asked) -> list[tuple[float, list[tuple[float, int]]]]:
        """Return for each token of the completion its log-probability, and the pairs (log-probability, id) there."""
        start, end = len(row.prompt), length(row)
        if self._endpoint.dialect == "vllm":
            told = choice["prompt_logprobs"][start:end]
            found = [
                (
                    place[str(token)]["logprob"],
                    [(entry["logprob"], int(number)) for number, entry in place.items()],
                )
                for place, token in zip(told, row.tokens, strict=True)
            ]
        else:
            spoken = choice["logprobs"]
            owns, largest = spoken["token_logprobs"][start:end], spoken["top_logprobs"][start:end]
            found = [
                (float(own), [(logprob, _token_id(name)) for name, logprob in place.items()])
                for own, place in zip(owns, largest, strict=True)
            ]
        if len(found) != len(row.tokens):
            raise ValueError(f"{len(found)} places for {len(row.tokens)} tokens")
        return found


def _token_id(name: str) -> int:
    """Read vLLM's `token_id:7`; endpoints that give the text alone do not tell which token it is."""
    return int(name.removeprefix("token_id:")) if name.startswith("token_id:") else -1


def _seconds(header: str | None) -> float:
    return float(header) if header and header.replace(".", "", 1).isdigit() else 0.0
