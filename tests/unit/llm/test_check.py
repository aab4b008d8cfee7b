from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from kat_data.domain.call import Api
from kat_data.llm.anthropic_http import AnthropicClient
from kat_data.llm.check import Check, check_client, check_embedder, check_model
from kat_data.testing.anthropic_server import AnthropicServer
from kat_data.testing.scripted_server import Fault, ScriptedServer


async def check(url: str, api_key: str | None = None) -> Check:
    return await check_model("local", url, "scripted", api_key=api_key)


@asynccontextmanager
async def serving(listed: Any, choice: dict[str, Any]) -> AsyncIterator[str]:
    """An endpoint that lists and answers whatever it is given."""
    app = web.Application()
    app.router.add_get("/v1/models", answering({"data": listed}))
    app.router.add_post("/v1/chat/completions", answering({"choices": [choice]}))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def answering(document: Any) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(document)

    return answer


async def test_an_endpoint_that_follows_schemas_is_all_right():
    async with ScriptedServer() as server:
        found = await check(server.url)
    assert (found.reachable, found.usable, found.listed, found.json_schema, found.problem) == (
        True, True, True, True, "",
    )  # fmt: skip
    assert found.seconds is not None


async def test_a_refused_key_is_said_so():
    async with ScriptedServer(api_key="right") as server:
        refused, welcome = await check(server.url, "wrong"), await check(server.url, "right")
    assert (refused.reachable, refused.usable) == (True, False)
    assert refused.problem == f"{server.url} refuses the key (401): set the variable that `key_env` names"
    assert welcome.usable


async def test_an_endpoint_that_refuses_logprobs_is_asked_without_them():
    async with ScriptedServer() as server:
        server.fail(Fault(status=400, text="logprobs are not supported"))
        found = await check(server.url)
    assert (found.usable, found.logprobs) == (True, False)


async def test_what_is_no_chat_completion_is_said_so():
    async with ScriptedServer() as server:
        server.fail(Fault(kind="malformed"))
        found = await check(server.url)
    assert (found.reachable, found.usable) == (True, False)
    assert "its answer is not a chat completion" in found.problem


LOGPROBS = {"message": {"content": '{"sum": 5}'}, "logprobs": {"content": [{"token": "5"}]}}


@pytest.mark.parametrize(
    ("listed", "context_length"),
    [
        (None, None),
        (3, None),
        (["scripted"], None),
        ([{"id": "scripted", "meta": ["n_ctx"]}], None),
        ([{"id": "scripted", "meta": {"n_ctx_train": 4096}}], 4096),
        ([{"id": "other"}, {"id": "scripted", "max_model_len": 8192}], 8192),
    ],
)
async def test_any_list_of_models_is_borne(listed, context_length):
    async with serving(listed, LOGPROBS) as url:
        found = await check(url)
    assert (found.usable, found.json_schema, found.logprobs, found.context_length) == (True, True, True, context_length)


async def test_logprobs_of_another_shape_are_none():
    async with serving([], {**LOGPROBS, "logprobs": ["5"]}) as url:
        found = await check(url)
    assert (found.usable, found.logprobs, found.listed) == (True, False, False)


@pytest.mark.parametrize("api", [Api.CLASSIFY, Api.SCORE, Api.POOLING])
async def test_a_reward_model_is_asked_to_score(api):
    async with ScriptedServer() as server:
        found = await check_model("local", server.url, "scripted", api_key=None, api=api)
        assert (found.reachable, found.usable, found.listed, found.problem) == (True, True, True, "")
        server.fail(Fault(status=404, text="Not Found"))
        found = await check_model("local", server.url, "scripted", api_key=None, api=api)
        assert (found.reachable, found.usable) == (True, False)
        assert "knows no such model or path (404)" in found.problem
    found = await check_model("local", server.url, "scripted", api_key=None, api=api)
    assert (found.reachable, found.usable) == (False, False)
    assert "does not answer" in found.problem


async def test_an_embedder_is_asked_for_an_embedding():
    async with ScriptedServer() as server:
        found = await check_embedder("local", server.url, "scripted", api_key=None)
        [body] = server.bodies
        assert body == {"model": "scripted", "input": ["a word"]}
        assert (found.usable, found.listed, found.json_schema, found.problem) == (True, True, None, "")
        server.fail(Fault(status=404, text="no such model"))
        lost = await check_embedder("local", server.url, "other", api_key=None)
    assert (lost.reachable, lost.usable) == (True, False)
    assert lost.problem.startswith(f"{server.url} knows no such model or path (404)")


async def test_what_is_no_list_of_embeddings_is_said_so():
    async with ScriptedServer(embed=lambda text: []) as server:
        server.fail(Fault(kind="malformed"))
        found = await check_embedder("local", server.url, "scripted", api_key=None)
    assert found.problem.endswith("its answer is not a list of embeddings")


async def test_other_providers_are_asked_through_their_clients():
    async with AnthropicServer(api_key="right") as server:
        good = await check_client("claude", AnthropicClient("claude", server.url, api_key="right"), "m")
        bad = await check_client("claude", AnthropicClient("claude", server.url, api_key="wrong"), "m")
        url = server.url
    gone = await check_client("claude", AnthropicClient("claude", url), "m")
    assert (good.reachable, good.usable, good.json_schema, good.problem) == (True, True, True, "")
    assert (bad.reachable, bad.usable) == (True, False)
    assert "refuses the key" in bad.problem
    assert (gone.reachable, gone.usable) == (False, False)
