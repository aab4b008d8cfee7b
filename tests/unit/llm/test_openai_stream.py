from collections.abc import AsyncIterator

import orjson
import pytest

from kat_data.llm.openai_stream import gather


async def lines(*events: object, end: bool = True) -> AsyncIterator[bytes]:
    yield b": a comment\n"
    for event in events:
        yield b"data: " + (event if isinstance(event, bytes) else orjson.dumps(event)) + b"\n"
        yield b"\n"
    if end:
        yield b"data: [DONE]\n"


def delta(finish_reason: str | None = None, **fields: object) -> dict:
    return {"choices": [{"delta": fields, "finish_reason": finish_reason}]}


async def test_pieces_are_joined_into_one_document():
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    document = await gather(
        lines(
            delta(role="assistant", content=None, reasoning_content="6 *"),
            delta(reasoning_content=" 7"),
            delta(content="4"),
            delta("stop", content="2"),
            {"choices": [], "usage": usage},
        )
    )
    assert document["choices"][0]["message"]["content"] == "42"
    assert document["choices"][0]["message"]["reasoning_content"] == "6 * 7"
    assert document["choices"][0]["finish_reason"] == "stop"
    assert document["usage"] == usage


async def test_tool_calls_are_joined_by_index():
    document = await gather(
        lines(
            delta(tool_calls=[{"index": 0, "function": {"name": "weather", "arguments": '{"ci'}}]),
            delta(tool_calls=[{"index": 1, "function": {"name": "time", "arguments": "{}"}}]),
            delta("tool_calls", tool_calls=[{"index": 0, "function": {"arguments": 'ty": 1}'}}]),
        )
    )
    calls = [call["function"] for call in document["choices"][0]["message"]["tool_calls"]]
    assert calls == [{"name": "weather", "arguments": '{"city": 1}'}, {"name": "time", "arguments": "{}"}]


@pytest.mark.parametrize(
    "events", [(delta(content="4"),), (b'{"choices"',), ({"error": {"message": "overloaded"}},), (b"[1]",), ()]
)
async def test_a_stream_that_breaks_off_is_refused(events):
    with pytest.raises(ValueError, match=r"stream|unexpected|JSON|EOF"):
        await gather(lines(*events, end=False))


@pytest.mark.parametrize(
    "event", [{"choices": [None]}, {"choices": {"delta": {}}}, delta(tool_calls=[1]), delta(tool_calls=1)]
)
async def test_an_event_of_another_shape_is_refused(event):
    with pytest.raises(ValueError, match="no part of a chat completion"):
        await gather(lines(event, delta("stop", content="4")))
