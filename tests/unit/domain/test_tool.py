"""Tools that models can be offered, and those that they cannot."""

from typing import Any

import pytest

from kat_data.domain.tool import NO_ARGUMENTS, tool_problem


def a_tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "add", "parameters": NO_ARGUMENTS} | function}


@pytest.mark.parametrize(
    "parameters",
    [
        NO_ARGUMENTS,
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": True}, "required": ["a"]},
    ],
)
def test_a_tool_with_a_schema_is_fine(parameters: dict[str, Any]) -> None:
    assert tool_problem(a_tool(parameters=parameters)) is None


@pytest.mark.parametrize(
    ("tool", "problem"),
    [
        ("add", 'a tool is not {"type": "function"'),
        ({"name": "add", "parameters": NO_ARGUMENTS}, 'a tool is not {"type": "function"'),
        (a_tool(name=""), "a tool has no name"),
        (a_tool(name=None), "a tool has no name"),
        (a_tool(parameters=None), "tool add has no JSON Schema as its parameters"),
        (a_tool(parameters=["a"]), "tool add has no JSON Schema as its parameters"),
        (a_tool(parameters={}), "the parameters of tool add are not a JSON Schema of type object"),
        (a_tool(parameters={"type": "string"}), "the parameters of tool add are not a JSON Schema of type object"),
        (a_tool(parameters={"type": "object", "properties": ["a"]}), "the parameters of tool add are not"),
        (a_tool(parameters={"type": "object", "properties": {"a": "int"}}), "the parameter a of tool add is not"),
    ],
)
def test_a_tool_that_no_model_can_call(tool: Any, problem: str) -> None:
    assert (tool_problem(tool) or "").startswith(problem)
