import orjson
import pytest

from kat_data.domain.call import FinishReason, Sampling
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.llm.openai_wire import read_reply, request_body, seed_of, split_thinking
from kat_data.testing import a_request

TOOL = {"name": "look_up", "parameters": {"type": "object"}}


def document(message: dict, finish_reason: str | None = "stop", **fields) -> dict:
    return {"choices": [{"message": message, "finish_reason": finish_reason}], **fields}


def test_a_plain_request_holds_these_fields_and_no_others():
    request = a_request("Hi", sampling=Sampling(temperature=0.7, top_p=0.9, max_tokens=64))
    assert orjson.loads(request_body(request)) == {
        "model": "scripted",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 64,
    }


def test_calls_and_results_are_sent_with_ids_from_their_places():
    calls = (ToolCall(name="look_up", arguments={"q": "é"}), ToolCall(name="look_up", arguments={}))
    messages = (
        *a_request("Hi").messages,
        Message(role=Role.ASSISTANT, content="I look.", tool_calls=calls),
        Message(role=Role.TOOL, content="one"),
        Message(role=Role.TOOL, content="two"),
    )
    _, assistant, one, two = orjson.loads(request_body(a_request(messages=messages)))["messages"]
    function = {"name": "look_up", "arguments": '{"q":"é"}'}
    assert assistant["tool_calls"][0] == {"id": "call_1_0", "type": "function", "function": function}
    assert one == {"role": "tool", "content": "one", "tool_call_id": "call_1_0", "name": "look_up"}
    assert (two["content"], two["tool_call_id"]) == ("two", "call_1_1")


def test_tools_schema_and_stream_are_sent_in_openai_fields():
    wrapped = {"type": "function", "function": TOOL}
    schema = {"title": "A vote", "type": "object"}
    body = orjson.loads(request_body(a_request(tools=(TOOL, wrapped), schema=schema), stream=True))
    assert body["tools"] == [wrapped, wrapped]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "A_vote", "strict": True, "schema": schema},
    }
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_every_sample_and_attempt_has_its_own_seed():
    def seed(sample: int, attempt: int) -> int | None:
        return seed_of(a_request(sampling=Sampling(seed=7), sample=sample, attempt=attempt))

    assert (seed(0, 0), seed(3, 0)) == (7, 10)
    assert len({seed(sample, attempt) for sample in range(50) for attempt in range(5)}) == 250
    assert seed_of(a_request(sample=3)) is None


def test_text_reasoning_and_usage_are_read():
    usage = {"prompt_tokens": 12, "completion_tokens": 3}
    reply = read_reply(document({"content": "42", "reasoning_content": "6 * 7"}, usage=usage), a_request())
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("42", "6 * 7", FinishReason.STOP)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.estimated) == (12, 3, False)


def test_the_newer_name_of_reasoning_is_read_too():
    assert read_reply(document({"content": "42", "reasoning": "6 * 7"}), a_request()).reasoning == "6 * 7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>6 * 7</think>\n42", ("6 * 7", "42")),
        ("\n<think>\n6 * 7\n</think>42", ("6 * 7", "42")),
        ("<think>6 * 7, so", ("6 * 7, so", "")),
        ("42 <think>late</think>", ("", "42 <think>late</think>")),
        ("42", ("", "42")),
    ],
)
def test_leading_thinking_is_split_from_text(text, expected):
    assert split_thinking(text) == expected
    reply = read_reply(document({"content": text}), a_request())
    assert (reply.reasoning, reply.text) == expected


def test_text_keeps_its_tags_where_the_endpoint_gives_reasoning_itself():
    reply = read_reply(document({"content": "<think>x</think>42", "reasoning_content": "y"}), a_request())
    assert (reply.reasoning, reply.text) == ("y", "<think>x</think>42")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("abort", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
def test_finish_reasons_are_mapped(word, expected):
    assert read_reply(document({"content": "42"}, word), a_request()).finish_reason is expected


def test_uncounted_tokens_are_estimated_and_say_so():
    usage = read_reply(document({"content": "x" * 9, "reasoning": "y" * 4}), a_request("z" * 8)).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (2, 4, True)


@pytest.mark.parametrize("arguments", ['{"city": "Oslo"}', {"city": "Oslo"}])
def test_tool_calls_are_read_from_strings_and_objects(arguments):
    message = {"content": None, "tool_calls": [{"function": {"name": "weather", "arguments": arguments}}]}
    reply = read_reply(document(message), a_request())
    assert reply.tool_calls == (ToolCall(name="weather", arguments={"city": "Oslo"}),)
    assert reply.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    "call",
    [
        {"function": {"name": "weather", "arguments": '{"city": '}},
        {"function": {"name": "weather", "arguments": "[1]"}},
        {"function": {"arguments": "{}"}},
        {"function": None},
        "weather",
    ],
)
def test_malformed_tool_calls_are_kept_as_text(call):
    reply = read_reply(document({"content": None, "tool_calls": [call]}), a_request())
    assert (reply.finish_reason, reply.tool_calls) == (FinishReason.TOOL_CALLS, ())
    assert orjson.loads(reply.text) == [call]


def test_a_cut_tool_call_is_cut_and_not_malformed():
    message = {"tool_calls": [{"function": {"name": "weather", "arguments": '{"ci'}}]}
    assert read_reply(document(message, "length"), a_request()).finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": None}]}, [], "x", None]
)
def test_a_body_that_is_no_completion_is_refused(body):
    with pytest.raises(ValueError, match="no chat completion"):
        read_reply(body, a_request())


def test_lone_surrogates_are_no_text():
    broken = {"function": {"name": "f", "arguments": "\ud800"}}
    message = {"content": "a \ud800 b", "tool_calls": [broken]}
    reply = read_reply({"choices": [{"message": message, "finish_reason": "stop"}]}, a_request())
    assert reply.text == "a ? b"
    message["content"] = None
    reply = read_reply({"choices": [{"message": message, "finish_reason": "stop"}]}, a_request())
    assert "?" in reply.text
    assert reply.tool_calls == ()
