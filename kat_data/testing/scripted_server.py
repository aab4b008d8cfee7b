"""An OpenAI-compatible server whose answers a function writes: real HTTP on loopback, with faults on demand."""

import argparse
import asyncio
import hashlib
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson
from aiohttp import web

from kat_data.domain.call import FinishReason, Reply
from kat_data.hashing import fraction
from kat_data.testing.embeddings import bag_of_words
from kat_data.testing.faults import Fault, ServerScript, Unreliable
from kat_data.testing.obedient import obedient
from kat_data.testing.request_log import RequestLog, Served

EmbeddingScript = Callable[[str], list[float] | Fault]
"""Embeds one text; a fault for any text of a request is the answer to all of it."""

RewardScript = Callable[[dict[str, Any]], list[float]]
"""Scores what a request's decoded body holds, one number a head."""


def by_hash(body: dict[str, Any]) -> list[float]:
    """Give the answer at the body's end a number from 0 to 1 that depends on its text alone."""
    answer = body["text_2"] if "text_2" in body else body["messages"][-1]["content"]
    return [fraction(0, answer)]


@dataclass(slots=True, kw_only=True)
class Statistics:
    """What the server has seen; `duplicates` counts requests whose body, byte for byte, had come before."""

    requests: int = 0
    answered: int = 0
    duplicates: int = 0
    in_flight: int = 0
    peak: int = 0


class Gate:
    """Lets all pass, or so many and then none."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._opened = asyncio.Event()

    def hold(self, after: int) -> None:
        """Let `after` more pass, and no other until `release`."""
        self._left = after
        self._opened.clear()

    def release(self) -> None:
        """Let all pass, those that wait and those that come."""
        self._left = None
        self._opened.set()

    async def passed(self) -> None:
        """Return when the caller may pass."""
        while self._left == 0:
            await self._opened.wait()
        if self._left is not None:
            self._left -= 1


class ScriptedServer:
    """Serves POST /v1/chat/completions and /v1/embeddings, GET /v1/models and /stats while it is entered.

    Reward models are served as vLLM does, at POST /classify, /score and /pooling, with the numbers of `rewards`.
    `latency` is in seconds. With `api_key`, requests without it get 401. Faults queued by `fail` meet the next requests
    before the script is asked. `counts` has a number for every distinct body, by its SHA-256. Embeddings are bags of
    words unless `embed` makes others. A client that leaves ends its request, as it does with vLLM. `log` is a file that
    gets a line for every request (`request_log.Served`). Answers wait between `hold` and `release`, which are also
    served: POST /hold (`?after=20` lets so many go first) and /release.
    """

    def __init__(
        self,
        script: ServerScript = obedient,
        *,
        rewards: RewardScript = by_hash,
        embed: EmbeddingScript = bag_of_words,
        latency: float = 0.0,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        self.statistics = Statistics()
        self.counts: Counter[bytes] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keep_bodies = True
        self._script = script
        self._rewards = rewards
        self._embed = embed
        self._latency = latency
        self._api_key = api_key
        self._host = host
        self._port = port
        self._log = RequestLog(log)
        self._faults: deque[Fault] = deque()
        self._gate = Gate()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The base URL, as endpoints in recipes have it."""
        return f"http://{self._host}:{self._port}/v1"

    def fail(self, *faults: Fault) -> None:
        """Meet the next requests with `faults`, one each."""
        self._faults.extend(faults)

    def hold(self, *, after: int = 0) -> None:
        """Let `after` more answers go, and no other until `release`; faults are answers, too."""
        self._gate.hold(after)

    def release(self) -> None:
        """Let all answers go again."""
        self._gate.release()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._complete)
        for path in ("/classify", "/score", "/pooling"):
            app.router.add_post(path, self._reward)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/stats", self._stats)
        app.router.add_post("/hold", self._hold)
        app.router.add_post("/release", self._release)
        self.add_routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=4096)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
        self._log.close()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve more paths: for servers that are made of this one."""

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, self._script)

    async def _reward(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, self._rewards)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, self._embed_all)

    def _embed_all(self, body: dict[str, Any]) -> dict[str, Any] | Fault:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        found = [self._embed(text) for text in texts]
        if fault := next((each for each in found if isinstance(each, Fault)), None):
            return fault
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(found)]
        tokens = sum(len(text) // 4 + 1 for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": body.get("model"), "data": data, "usage": usage}

    async def _serve(
        self, request: web.Request, script: Callable[[dict[str, Any]], Reply | str | Fault | dict[str, Any] | list[Any]]
    ) -> web.StreamResponse:
        raw = await request.read()
        self._count(raw)
        try:
            with self._log.entry(raw, self.statistics.in_flight) as served:
                return await self._answer(request, raw, script, served)
        finally:
            self.statistics.in_flight -= 1

    async def _answer(
        self, request: web.Request, raw: bytes, script: Callable[[dict[str, Any]], Any], served: Served
    ) -> web.StreamResponse:
        if self._api_key and request.headers.get("Authorization") != f"Bearer {self._api_key}":
            served.outcome = "401"
            return _error(401, "Incorrect API key provided", {})
        body: dict[str, Any] = orjson.loads(raw)
        if self.keep_bodies:
            self.bodies.append(body)
        if self._latency:
            await asyncio.sleep(self._latency)
        await self._gate.passed()
        answer = self._faults.popleft() if self._faults else script(body)
        if isinstance(answer, Fault):
            served.outcome = answer.outcome
            return await self._misbehave(request, answer)
        self.statistics.answered += 1
        served.outcome = "answered"
        if isinstance(answer, dict):
            return _json(answer)
        if isinstance(answer, list):
            return _json(_scored(request.path, answer))
        return await _respond(request, body, answer)

    def _count(self, raw: bytes) -> None:
        seen = self.statistics
        seen.requests += 1
        seen.in_flight += 1
        seen.peak = max(seen.peak, seen.in_flight)
        digest = hashlib.sha256(raw).digest()
        self.counts[digest] += 1
        seen.duplicates += self.counts[digest] > 1

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.kind == "malformed":
            return web.Response(body=b'{"choices": [{"message": ', content_type="application/json")
        if fault.kind == "hang":
            await self._closing.wait()
        if fault.kind in {"hang", "drop"} and request.transport is not None:
            request.transport.abort()
        return _error(fault.status, fault.text, fault.headers)

    async def _models(self, request: web.Request) -> web.Response:
        return _json({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _stats(self, request: web.Request) -> web.Response:
        return _json(asdict(self.statistics))

    async def _hold(self, request: web.Request) -> web.Response:
        self.hold(after=int(request.query.get("after", 0)))
        return _json({})

    async def _release(self, request: web.Request) -> web.Response:
        self.release()
        return _json({})


def _scored(path: str, values: list[float]) -> dict[str, Any]:
    """Return the numbers in the document of the path's API."""
    entries: dict[str, dict[str, Any]] = {
        "/classify": {"label": "LABEL_0", "probs": values, "num_classes": len(values)},
        "/score": {"object": "score", "score": values[0]},
        "/pooling": {"object": "pooling", "data": values},
    }
    usage = {"prompt_tokens": 12, "total_tokens": 12}
    return {"object": "list", "data": [{"index": 0, **entries[path]}], "usage": usage}


async def _respond(request: web.Request, body: dict[str, Any], answer: Reply | str) -> web.StreamResponse:
    document = completion(body, answer)
    if body.get("stream"):
        [choice] = document["choices"]
        return await _stream(request, choice["message"], choice["finish_reason"], document["usage"])
    return _json(document)


def completion(body: dict[str, Any], answer: Reply | str) -> dict[str, Any]:
    """Return an answer as the document of a chat completion."""
    reply = Reply(text=answer, finish_reason=FinishReason.STOP) if isinstance(answer, str) else answer
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [_tool_call(index, call) for index, call in enumerate(reply.tool_calls)]
    usage = {
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "total_tokens": reply.usage.total,
    }
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason.value}
    return {"object": "chat.completion", "model": body.get("model"), "choices": [choice], "usage": usage}


def _tool_call(index: int, call: Any) -> dict[str, Any]:
    function = {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()}
    return {"index": index, "id": f"call_{index}", "type": "function", "function": function}


async def _stream(
    request: web.Request, message: dict[str, Any], finish_reason: str, usage: dict[str, int]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    middle = len(message["content"]) // 2
    deltas = (message | {"content": message["content"][:middle]}, {"content": message["content"][middle:]})
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
    events.append({"choices": [], "usage": usage})
    for event in events:
        await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


def _error(status: int, text: str, headers: Mapping[str, str]) -> web.Response:
    return _json({"error": {"message": text, "type": "scripted"}}, status=status, headers=headers)


def _json(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, headers=headers, content_type="application/json")


async def _serve(arguments: argparse.Namespace) -> None:
    script = Unreliable(obedient, arguments.faults, seed=arguments.seed) if arguments.faults else obedient
    server = ScriptedServer(
        script, latency=arguments.latency, api_key=arguments.api_key, port=arguments.port, log=arguments.log
    )
    server.keep_bodies = False
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Serve the obedient script until SIGTERM; the first line on stdout is the base URL."""
    parser = argparse.ArgumentParser(prog="python -m kat_data.testing.scripted_server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--api-key", help="refuse requests without it")
    parser.add_argument("--faults", type=float, default=0.0, metavar="SHARE", help="429, 500, garbage, silence …")
    parser.add_argument("--seed", type=int, default=0, help="decides which requests meet faults")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write a line of JSON for every request")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
