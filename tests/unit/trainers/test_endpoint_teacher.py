"""A real server in this process, over the tiny model, in both dialects."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aiohttp import web
from transformers import AutoModelForCausalLM

from kat_data.errors import ConfigError, EndpointDown, EndpointFault, EndpointRefused, KatError, RequestRejected
from trainers import endpoint_teacher
from trainers.config import Model
from trainers.endpoint_teacher import Endpoint, EndpointTeacher
from trainers.teachers import Asked, LocalTeacher

ASKED = [Asked(key=bytes([n]) * 32, prompt=[5, 6, n], tokens=[7 + n, 8, 9, 10][: 2 + n]) for n in range(3)]


class Server:
    """Answers `/v1/completions` as vLLM does; `first` are answers to give before."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.first: list[Callable[[], web.Response]] = []
        self.seen: list[Any] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self._up.wait()

    def _serve(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/completions", self._answer)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.seen.append((body, dict(request.headers)))
        if self.first:
            return self.first.pop(0)()
        ids = body["prompt"]
        with torch.no_grad():
            said = self.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        if "prompt_logprobs" in body:
            return web.json_response({"choices": [{"prompt_logprobs": [None, *self._vllm(said, ids, body)]}]})
        return web.json_response({"choices": [{"logprobs": self._echo(said, ids, body["logprobs"])}]})

    def _vllm(self, said: torch.Tensor, ids: list[int], body: dict[str, Any]) -> list[dict[str, Any]]:
        places = []
        for row, actual in zip(said, ids[1:], strict=True):
            # The actual token is told as well; it stands first, whatever its rank is.
            numbers = dict.fromkeys([actual, *row.topk(body["prompt_logprobs"]).indices.tolist()])
            places.append({str(n): {"logprob": float(row[n]), "decoded_token": "x"} for n in numbers})
        return places

    def _echo(self, said: torch.Tensor, ids: list[int], k: int) -> dict[str, Any]:
        owns = [float(row[actual]) for row, actual in zip(said, ids[1:], strict=True)]
        largest = [{f"token_id:{n}": float(row[n]) for n in row.topk(k).indices.tolist()} for row in said]
        # One token is sampled behind the prompt, and told like the others.
        return {"token_logprobs": [None, *owns, -0.5], "top_logprobs": [None, *largest, {"token_id:1": -0.5}]}


@pytest.fixture
def server(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(endpoint_teacher, "_FIRST_WAIT", 0.001)
    made = Server(AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval())
    yield made
    made.stop()


def teacher(server: Server, **given: Any) -> EndpointTeacher:
    return EndpointTeacher(Endpoint(url=server.url, name="r1", **given), k=6)


@pytest.mark.parametrize("dialect", ["vllm", "echo"])
def test_an_endpoint_says_what_the_model_says_here(server: Server, tiny_model: Path, dialect: str) -> None:
    wanted = LocalTeacher(Model(path=str(tiny_model), dtype="float32"), k=6).say(ASKED)
    for one, two in zip(wanted, teacher(server, dialect=dialect).say(ASKED), strict=True):
        assert np.allclose(one.own, two.own, atol=1e-4)
        assert np.allclose(one.top, two.top, atol=5e-3)
        assert np.array_equal(one.top_ids, two.top_ids)
        assert np.allclose(one.tail, two.tail, atol=1e-4)
        assert (two.top.dtype, two.top_ids.dtype) == (np.float16, np.int32)
    assert {body["model"] for body, _ in server.seen} == {"r1"}


def test_passing_faults_are_retried(server: Server) -> None:
    server.first = [lambda: web.Response(status=503), lambda: web.Response(status=429, headers={"Retry-After": "0.01"})]
    assert len(teacher(server).say(ASKED)) == 3
    assert len(server.seen) == 5


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (lambda: web.Response(status=401, text="no key"), EndpointRefused, "HTTP 401: no key"),
        (lambda: web.Response(status=400, text="max 20 log-probabilities"), RequestRejected, "max 20"),
        (lambda: web.Response(status=500), EndpointFault, "HTTP 500"),
        (lambda: web.json_response({"choices": [{"text": "x"}]}), EndpointRefused, "as the dialect vllm has them"),
        (lambda: web.json_response({"choices": [{"prompt_logprobs": []}]}), EndpointRefused, "dialect"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    server: Server, answer: Callable[[], web.Response], error: type[KatError], told: str
) -> None:
    server.first = [answer] * 100
    with pytest.raises(error, match=told) as caught:
        teacher(server).say(ASKED)
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_is_not_there(server: Server) -> None:
    server.stop()
    with pytest.raises(EndpointDown, match="r1"):
        teacher(server).say(ASKED)
    server.__init__(server.model)  # type: ignore[misc]


def test_the_key_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="TEACHER_KEY is not set"):
        teacher(server, key_variable="TEACHER_KEY").say(ASKED)
    monkeypatch.setenv("TEACHER_KEY", "secret")
    teacher(server, key_variable="TEACHER_KEY").say(ASKED)
    assert server.seen[-1][1]["Authorization"] == "Bearer secret"
