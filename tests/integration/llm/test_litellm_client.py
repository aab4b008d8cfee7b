"""litellm against our scripted server, by its openai/ prefix; without the extra there is one clear line."""

import importlib.util
from collections.abc import AsyncIterator

import pytest

from kat_data.domain.call import FinishReason, Sampling
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import EndpointRefused, RecipeError, RequestRejected
from kat_data.llm.client import Transient
from kat_data.llm.litellm_client import LitellmClient
from kat_data.llm.openai_http import OpenAIClient
from kat_data.testing import a_reply, a_request
from kat_data.testing.scripted_server import Fault, ScriptedServer

installed = pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None, reason="the extra `litellm` is not installed"
)
# Warnings of litellm and what it imports are not ours.
noisy = pytest.mark.filterwarnings("ignore")
KEY = "sk-secret"
CALL = ToolCall(name="f", arguments={"a": [1, None]})


def a_client(server: ScriptedServer | None, **options) -> LitellmClient:
    url = server.url if server else "http://127.0.0.1:9/v1"
    return LitellmClient("far", **{"url": url, "api_key": KEY, "key_variable": "FAR_KEY", "seconds": 20.0} | options)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(api_key=KEY) as server:
        yield server


@pytest.fixture
async def client(server) -> AsyncIterator[LitellmClient]:
    client = a_client(server)
    yield client
    await client.close()


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"`far` needs litellm: .*pip install 'kat-data\[litellm\]'"):
        a_client(None)


@installed
@noisy
@pytest.mark.parametrize(
    "reply",
    [
        a_reply("42", reasoning="6 * 7"),
        a_reply("half", finish_reason=FinishReason.LENGTH),
        a_reply(
            "", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(ToolCall(name="f", arguments={"a": [1, None]}),)
        ),
    ],
)
async def test_replies_and_requests_are_those_of_our_own_client(server, client, reply) -> None:
    server._script = lambda body: reply
    request = a_request(
        model="openai/small", sampling=Sampling(temperature=0.5, top_p=0.9, max_tokens=9, seed=4), sample=2
    )
    assert await client.complete(request) == reply
    ours = OpenAIClient("near", server.url, api_key=KEY)
    assert await ours.complete(a_request(model="small", sampling=request.sampling, sample=2)) == reply
    await ours.close()
    first, second = ({k: v for k, v in body.items() if k != "stream"} for body in server.bodies)
    assert first == second


@installed
@noisy
@pytest.mark.parametrize(
    ("status", "error", "throttled"),
    [
        (400, RequestRejected, None),
        (404, EndpointRefused, None),
        (429, Transient, True),
        (500, Transient, False),
        (503, Transient, True),
    ],
)
async def test_failures_mean_what_they_mean_elsewhere(server, client, status, error, throttled) -> None:
    server.fail(Fault(status=status, headers={"Retry-After": "7"}))
    with pytest.raises(error) as raised:
        await client.complete(a_request(model="openai/small"))
    assert server.statistics.requests == 1
    if throttled is not None:
        assert (raised.value.throttled, raised.value.retry_after) == (throttled, 7.0)
        assert not raised.value.maybe_paid


@installed
@noisy
async def test_a_wrong_key_is_named_by_its_variable_and_never_shown(server) -> None:
    client = a_client(server, api_key="sk-wrong")
    with pytest.raises(EndpointRefused, match="set FAR_KEY") as raised:
        await client.complete(a_request(model="openai/small"))
    assert "sk-wrong" not in str(raised.value)
    await client.close()


@installed
@noisy
async def test_silence_and_nobody_there_are_told_apart(server) -> None:
    server.fail(Fault(kind="hang"))
    slow, gone = a_client(server, seconds=0.3), a_client(None)
    with pytest.raises(Transient) as silent:
        await slow.complete(a_request(model="openai/small"))
    assert (silent.value.maybe_paid, silent.value.unreachable) == (True, False)
    with pytest.raises(Transient) as nobody:
        await gone.complete(a_request(model="openai/small"))
    assert (nobody.value.maybe_paid, nobody.value.unreachable) == (False, True)
    await slow.close()


@installed
@noisy
async def test_a_model_without_a_provider_says_how_to_name_it(server, client) -> None:
    with pytest.raises(EndpointRefused, match="provider/model"):
        await client.complete(a_request(model="small"))


@installed
@noisy
async def test_one_clients_end_breaks_no_other(server, client) -> None:
    other = a_client(server)
    await other.complete(a_request(model="openai/small"))
    await other.close()
    assert (await client.complete(a_request("again", model="openai/small"))).text


@installed
async def test_where_litellm_cannot_be_imported_the_end_is_quiet(monkeypatch) -> None:
    def broken() -> None:
        raise ImportError("half installed")

    monkeypatch.setattr("kat_data.llm.litellm_client._load", broken)
    client = a_client(None)
    with pytest.raises(ImportError, match="half installed"):
        await client.complete(a_request(model="openai/small"))
    await client.close()
