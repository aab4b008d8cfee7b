import re

import orjson

from kat_data.testing.obedient import obedient


def body(text: str, **fields) -> dict:
    return {"model": "scripted", "messages": [{"role": "user", "content": text}], **fields}


def boxed(text: str, **fields) -> int:
    return int(re.search(r"\\boxed\{(-?\d+)\}$", obedient(body(text, **fields)).text)[1])


def test_the_same_body_gets_the_same_answer():
    assert obedient(body("Why?")) == obedient(body("Why?"))
    assert len({boxed(f"Why {n}?") for n in range(100)}) == 10


def test_sums_are_right_three_times_in_four():
    right = sum(boxed(f"What is {n} + 25?") == n + 25 for n in range(400))
    assert 260 < right < 340
    assert len({boxed("What is 1 + 2?", seed=seed) for seed in range(40)}) == 2


def test_a_schema_is_followed():
    schema = {"type": "object", "properties": {"mode": {"enum": ["think_on"]}}}
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    assert orjson.loads(obedient(body("Vote", response_format=form)).text) == {"mode": "think_on"}


def test_a_tool_is_called():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    [call] = obedient(body("Rain?", tools=tools)).tool_calls
    assert call.name == "weather"
    assert isinstance(call.arguments["city"], str)
