"""The client against a real HTTP server on loopback: every mapping from what happens on the wire."""

import asyncio
import socket
from datetime import UTC, datetime

import pytest

from kat_data.clock import ManualClock
from kat_data.domain.call import Api, Charge, FinishReason, Price, Sampling
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import EndpointRefused, RecipeError, RequestRejected
from kat_data.llm.budget import Budget
from kat_data.llm.client import Transient
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.gateway import Gateway
from kat_data.llm.ledger import MemoryLedger
from kat_data.llm.openai_http import OpenAIClient
from kat_data.testing import a_conversation, a_reply, a_request
from kat_data.testing.scripted_server import Fault, ScriptedServer

KEY = "sk-very-secret"
LONG = Sampling(max_tokens=30_000)


@pytest.fixture
async def server():
    async with ScriptedServer(lambda body: a_reply("Hi", reasoning="hm")) as server:
        yield server


@pytest.fixture
async def client(server):
    client = OpenAIClient("small", server.url, api_key=KEY, key_variable="SMALL_KEY", idle_seconds=5.0)
    yield client
    await client.close()


async def failure(client: OpenAIClient, error: type[Exception]) -> Exception:
    with pytest.raises(error) as raised:
        await client.complete(a_request())
    line = str(raised.value)
    assert "\n" not in line
    assert KEY not in line
    assert "endpoint small (http://127.0.0.1:" in line
    return raised.value


@pytest.mark.parametrize("sampling", [Sampling(), LONG], ids=["whole", "streamed"])
async def test_a_reply_comes_back_whole_and_streamed(server, client, sampling):
    reply = await client.complete(a_request("Hello", sampling=sampling))
    assert reply == a_reply("Hi", reasoning="hm")
    [body] = server.bodies
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert body.get("stream", False) is (sampling is LONG)


@pytest.mark.parametrize("sampling", [Sampling(), LONG], ids=["whole", "streamed"])
async def test_tool_calls_come_back_whole_and_streamed(sampling):
    call = ToolCall(name="weather", arguments={"city": "Oslo"})
    expected = a_reply("", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(call,))
    async with ScriptedServer(lambda body: expected) as server:
        client = OpenAIClient("small", server.url)
        assert await client.complete(a_request(sampling=sampling)) == expected
        await client.close()


@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.CONTENT_FILTER])
async def test_cut_and_empty_replies_are_replies(reason):
    async with ScriptedServer(lambda body: a_reply("", finish_reason=reason)) as server:
        client = OpenAIClient("small", server.url)
        assert (await client.complete(a_request())).finish_reason is reason
        await client.close()


async def test_the_right_key_is_sent():
    async with ScriptedServer(lambda body: "Hi", api_key=KEY) as server:
        client = OpenAIClient("small", server.url + "/", api_key=KEY)
        assert (await client.complete(a_request())).text == "Hi"
        await client.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_names_the_variable_to_set(server, client, status):
    server.fail(Fault(status=status, text=f"Incorrect key {KEY}"))
    error = await failure(client, EndpointRefused)
    assert str(error).endswith(f"refuses the key (HTTP {status}): set SMALL_KEY to a valid key")


async def test_a_missing_key_says_where_to_name_it():
    async with ScriptedServer(api_key=KEY) as server:
        client = OpenAIClient("small", server.url)
        assert "name the environment variable" in str(await failure(client, EndpointRefused))
        await client.close()


async def test_an_unknown_model_is_refused_with_the_servers_words(server, client):
    server.fail(Fault(status=404, text="The model `qwenn` does not exist."))
    assert "The model `qwenn` does not exist." in str(await failure(client, EndpointRefused))


@pytest.mark.parametrize("status", [302, 402, 405])
async def test_other_refusals_stop_the_run(server, client, status):
    server.fail(Fault(status=status, text="Insufficient balance", headers={"Location": "http://127.0.0.1:9/"}))
    assert f"HTTP {status}: Insufficient balance" in str(await failure(client, EndpointRefused))


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_is_wrong_in_itself_is_rejected_alone(server, client, status):
    server.fail(Fault(status=status, text="maximum context length is 4096 tokens"))
    assert "maximum context length" in str(await failure(client, RequestRejected))
    assert (await client.complete(a_request())).text == "Hi"


@pytest.mark.parametrize(
    ("status", "throttled", "maybe_paid"),
    [
        (408, False, False),
        (429, True, False),
        (500, False, False),
        (502, False, False),
        (503, True, False),
        (504, False, True),
    ],
)
async def test_passing_faults_are_transient(server, client, status, throttled, maybe_paid):
    server.fail(Fault(status=status, text="busy"))
    error = await failure(client, Transient)
    assert f"answers HTTP {status}: busy" in str(error)
    assert (error.throttled, error.maybe_paid, error.unreachable, error.retry_after) == (
        throttled,
        maybe_paid,
        False,
        None,
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
async def test_retry_after_is_read_as_seconds_or_date(server, value, seconds):
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    client = OpenAIClient("small", server.url, clock=clock)
    server.fail(Fault(status=429, headers={"Retry-After": value}))
    assert (await failure(client, Transient)).retry_after == seconds
    await client.close()


async def test_error_texts_are_short_and_hold_no_key(server, client):
    server.fail(Fault(status=500, text=f"key {KEY} " + "x" * 5_000))
    line = str(await failure(client, Transient))
    assert "key *** xxx" in line
    assert len(line) < 300


@pytest.mark.parametrize("sampling", [Sampling(), LONG], ids=["whole", "streamed"])
async def test_a_malformed_body_is_transient_and_may_be_paid(server, client, sampling):
    server.fail(Fault(kind="malformed"))
    with pytest.raises(Transient, match="cannot be read") as raised:
        await client.complete(a_request(sampling=sampling))
    assert raised.value.maybe_paid


async def test_a_dropped_connection_is_transient_and_may_be_paid(server, client):
    server.fail(Fault(kind="drop"))
    error = await failure(client, Transient)
    assert "broke the connection" in str(error)
    assert (error.maybe_paid, error.unreachable) == (True, False)


async def test_silence_is_transient_and_may_be_paid(server):
    client = OpenAIClient("small", server.url, idle_seconds=0.05)
    server.fail(Fault(kind="hang"))
    error = await failure(client, Transient)
    assert "silent for 0.05 s" in str(error)
    assert (error.maybe_paid, error.unreachable) == (True, False)
    await client.close()


async def test_an_endpoint_that_nobody_serves_is_unreachable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = OpenAIClient("small", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        error = await failure(client, Transient)
    assert (error.unreachable, error.maybe_paid) == (True, False)
    await client.close()


async def test_an_unknown_host_is_unreachable():
    client = OpenAIClient("small", "http://no-such-host.invalid/v1")
    with pytest.raises(Transient, match="cannot be reached") as raised:
        await client.complete(a_request())
    assert raised.value.unreachable
    await client.close()


@pytest.mark.parametrize("url", ["localhost:8000/v1", "", "ftp://host/v1", "http:///v1", "http://host:99999/v1"])
def test_a_url_that_is_none_is_refused_at_once(url):
    with pytest.raises(RecipeError, match="endpoint small has no usable URL"):
        OpenAIClient("small", url)


async def test_what_cannot_even_be_sent_stops_the_run_and_is_not_paid_for():
    client = OpenAIClient("small", "http://two..dots/v1", api_key=KEY)
    budget, ledger = Budget(), MemoryLedger()
    gateway = Gateway([Endpoint("small", client)], ledger, budget=budget)
    with pytest.raises(EndpointRefused, match=r"endpoint small .* cannot be asked .* correct its URL or key") as raised:
        await gateway.call("small", a_request(), price=Price(prompt=1.0, completion=1.0))
    assert KEY not in str(raised.value)
    assert (gateway.counters.retries, gateway.counters.usd, budget.spent) == (0, 0.0, Charge())
    await gateway.close()


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-one\rsk", "sk\x00", "sk\u200b"])
def test_a_key_that_no_header_can_hold_is_refused_at_once(key):
    with pytest.raises(RecipeError, match="the key in SMALL_KEY of endpoint small holds a control character") as raised:
        OpenAIClient("small", "http://127.0.0.1:9/v1", api_key=key, key_variable="SMALL_KEY")
    assert "sk" not in str(raised.value)


async def test_credentials_in_a_url_do_not_reach_error_texts(server):
    client = OpenAIClient("small", server.url.replace("127.0.0.1", "me:hidden@127.0.0.1"))
    server.fail(Fault(status=500))
    assert "hidden" not in str(await failure(client, Transient))
    await client.close()


async def test_many_calls_share_one_session_without_a_limit_of_their_own():
    async with ScriptedServer(lambda body: body["messages"][0]["content"], latency=0.05) as server:
        client = OpenAIClient("small", server.url)
        replies = await asyncio.gather(*(client.complete(a_request(str(n))) for n in range(150)))
        assert [reply.text for reply in replies] == [str(n) for n in range(150)]
        assert server.statistics.peak == 150
        await client.close()


async def test_a_client_can_be_closed_unused_and_used_again_after(server, client):
    await client.close()
    assert (await client.complete(a_request())).text == "Hi"
    await client.close()
    assert (await client.complete(a_request())).text == "Hi"


@pytest.mark.parametrize("api", [Api.CLASSIFY, Api.SCORE, Api.POOLING])
async def test_reward_models_are_asked_beside_v1(api):
    talk = a_conversation("What is 2 + 3?", "5")
    async with ScriptedServer(rewards=lambda body: [0.75]) as server:
        client = OpenAIClient("small", server.url)
        reply = await client.complete(a_request(api=api, messages=talk))
        await client.close()
    assert reply.text == "[0.75]"
    assert reply.usage.prompt_tokens == 12


async def test_a_server_without_reward_models_says_so(server, client):
    server.fail(Fault(status=404, text="no such path"))
    with pytest.raises(EndpointRefused, match="no such path or model"):
        await client.complete(a_request(api=Api.SCORE, messages=a_conversation("Hi", "Hello")))
