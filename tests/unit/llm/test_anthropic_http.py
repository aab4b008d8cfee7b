"""Anthropic's Messages API: what is sent, what is read, and what its failures mean."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kat_data.domain.call import CallRequest, FinishReason, Reply, Sampling, Usage
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import EndpointRefused, RequestRejected
from kat_data.llm.anthropic_http import AnthropicClient
from kat_data.llm.anthropic_wire import message_body, read_message
from kat_data.llm.client import Transient
from kat_data.testing import a_reply, a_request
from kat_data.testing.anthropic_server import AnthropicServer, as_openai
from kat_data.testing.scripted_server import Fault

CALL = ToolCall(name="find", arguments={"what": "tea"})
TOOL = {"type": "function", "function": {"name": "find", "description": "Find.", "parameters": {"type": "object"}}}


def a_talk(*messages: Message, **fields: Any) -> CallRequest:
    return CallRequest(model="m", messages=messages, sampling=Sampling(**fields.pop("sampling", {})), **fields)


def say(role: str, content: str, **fields: Any) -> Message:
    return Message(role=Role(role), content=content, **fields)


@pytest.fixture
async def server() -> AsyncIterator[AnthropicServer]:
    async with AnthropicServer(api_key="secret") as server:
        yield server


@pytest.fixture
async def client(server: AnthropicServer) -> AsyncIterator[AnthropicClient]:
    client = AnthropicClient("claude", server.url, api_key="secret", key_variable="A_KEY")
    yield client
    await client.close()


def test_a_body_is_of_turns_with_blocks_for_tools() -> None:
    request = a_talk(
        say("system", "Be brief."),
        say("user", "Find tea and tea."),
        say("assistant", "", tool_calls=(CALL, CALL)),
        say("tool", "green"),
        say("tool", "black"),
        say("user", "Which?"),
        tools=(TOOL,),
        sampling={"temperature": 0.5, "max_tokens": 7, "seed": 3},
    )
    body = orjson.loads(message_body(request))
    first, second = (block["id"] for block in body["messages"][1]["content"])
    assert first != second
    assert body == {
        "model": "m",
        "max_tokens": 7,
        "temperature": 0.5,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Find tea and tea."},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": ident, "name": "find", "input": {"what": "tea"}}
                    for ident in (first, second)
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": first, "content": "green"},
                    {"type": "tool_result", "tool_use_id": second, "content": "black"},
                ],
            },
            {"role": "user", "content": "Which?"},
        ],
        "tools": [{"name": "find", "description": "Find.", "input_schema": {"type": "object"}}],
    }


def test_a_schema_is_a_tool_that_has_to_be_called_and_its_input_is_the_text() -> None:
    request = a_talk(say("user", "?"), schema={"type": "object", "title": "T"}, sampling={"top_p": 0.9})
    body = orjson.loads(message_body(request))
    assert body["tool_choice"] == {"type": "tool", "name": body["tools"][0]["name"]}
    assert body["tools"][0]["input_schema"] == request.schema
    assert body["top_p"] == 0.9
    block = {"type": "tool_use", "id": "t", "name": "reply", "input": {"a": 1}}
    usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5}
    reply = read_message({"content": [block], "stop_reason": "tool_use", "usage": usage}, request)
    assert (reply.text, reply.finish_reason, reply.tool_calls) == ('{"a":1}', FinishReason.STOP, ())
    assert reply.usage == Usage(prompt_tokens=7, completion_tokens=5)
    cut = read_message({"content": [block], "stop_reason": "max_tokens", "usage": usage}, request)
    assert cut.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("document", [None, [], {}, {"content": None}, {"content": [{}]}, {"content": [], "usage": {}}])
def test_what_is_no_message_is_said_to_be_none(document: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        read_message(document, a_request())


@pytest.mark.parametrize(
    "reply",
    [
        a_reply("42", reasoning="6 * 7"),
        a_reply("half", finish_reason=FinishReason.LENGTH),
        a_reply("", tool_calls=(CALL,), finish_reason=FinishReason.TOOL_CALLS),
        a_reply("no", finish_reason=FinishReason.CONTENT_FILTER),
    ],
)
async def test_replies_come_over_http_as_they_were(server, client, reply: Reply) -> None:
    server.answers = lambda body: reply
    assert await client.complete(a_request(tools=(TOOL,))) == reply


async def test_scripts_see_what_openai_would_be_sent(server, client) -> None:
    seen = []
    server.answers = lambda body: seen.append(body) or "fine"
    request = a_talk(say("system", "Be brief."), say("user", "?"), schema={"type": "object"})
    await client.complete(request)
    [body] = seen
    assert body == as_openai(orjson.loads(message_body(request)))
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("status", "error", "throttled"),
    [
        (400, RequestRejected, None),
        (404, EndpointRefused, None),
        (429, Transient, True),
        (529, Transient, True),
        (500, Transient, False),
    ],
)
async def test_failures_mean_what_they_mean_elsewhere(server, client, status, error, throttled) -> None:
    server.answers = lambda body: Fault(status=status, text="because")
    with pytest.raises(error, match="because") as raised:
        await client.complete(a_request())
    if throttled is not None:
        assert raised.value.throttled is throttled


async def test_a_wrong_key_is_named_by_its_variable_and_never_shown(server) -> None:
    client = AnthropicClient("claude", server.url, api_key="wrong-key", key_variable="A_KEY")
    with pytest.raises(EndpointRefused, match="set A_KEY") as raised:
        await client.complete(a_request())
    assert "wrong-key" not in str(raised.value)
    await client.close()


def test_arguments_that_no_database_holds_make_a_malformed_reply() -> None:
    block = {"type": "tool_use", "id": "1", "name": "find", "input": {"what": "a\0b"}}
    document = {"content": [block], "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 2}}
    reply = read_message(document, a_request())
    assert (reply.tool_calls, reply.finish_reason) == ((), FinishReason.TOOL_CALLS)
    assert "find" in reply.text
    assert "\0" not in reply.text
