"""Arguments against schemas: what a real function would refuse."""

import pytest

from kat_data.domain.tool_call import ToolCall
from kat_data.stages.parts.arguments import refusal

TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "book",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "nights": {"type": "integer"},
                    "price": {"type": ["number", "null"]},
                    "late": {"type": "boolean"},
                    "meal": {"type": "string", "enum": ["none", "half"]},
                    "extra": {},
                },
                "required": ["city"],
            },
        },
    },
    {"name": "ping"},
)


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "Oslo"},
        {"city": "Oslo", "nights": 2, "price": 1.5, "late": True, "meal": "half", "extra": [1]},
        {"city": "Oslo", "price": None, "extra": True},
    ],
)
def test_calls_that_fit_are_taken(arguments):
    assert refusal(ToolCall(name="book", arguments=arguments), TOOLS) is None
    assert refusal(ToolCall(name="ping", arguments={}), TOOLS) is None


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("cook", {}, "there is no tool cook; there are book, ping"),
        ("book", {"nights": 2}, "book: the argument city is missing"),
        ("book", {"city": "Oslo", "date": 1}, "book: there is no argument date"),
        ("book", {"city": 7}, "book: city must be of type string"),
        ("book", {"city": "Oslo", "nights": True}, "book: nights must be of type integer"),
        ("book", {"city": "Oslo", "price": "1"}, "book: price must be of type number or null"),
        ("book", {"city": "Oslo", "late": 1}, "book: late must be of type boolean"),
        ("book", {"city": "Oslo", "meal": "full"}, "book: meal must be one of none, half"),
        ("ping", {"x": 1}, "ping: there is no argument x"),
    ],
)
def test_calls_that_do_not_fit_are_refused(name, arguments, why):
    assert refusal(ToolCall(name=name, arguments=arguments), TOOLS) == why
