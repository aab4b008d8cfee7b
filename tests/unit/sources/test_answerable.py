"""Rows that no run can answer, each with its code; presets ask this of every query."""

from typing import Any

import pytest

from kat_data.domain.bad_line import BadCode
from kat_data.sources.answerable import MAX_CHARS
from kat_data.sources.fields import Fields
from kat_data.sources.presets import PRESETS
from kat_data.sources.row_error import RowError

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def refused(preset: str, row: dict[str, Any]) -> RowError:
    with pytest.raises(RowError) as caught:
        PRESETS[preset](Fields(row, {}, "s", "MIT"), None)
    return caught.value


@pytest.mark.parametrize(
    ("preset", "row", "code", "text"),
    [
        ("plain", {"messages": [{"role": "assistant", "content": "Hi"}]}, BadCode.NO_USER_TURN, "no user turn"),
        ("sharegpt", {"conversations": [{"from": "human", "value": " "}]}, BadCode.NO_USER_TURN, "message is empty"),
        ("plain", {"question": "x", "tools": [{"name": "f"}]}, BadCode.TOOL_WITHOUT_SCHEMA, "a tool is not"),
        (
            "plain",
            {"question": "x", "tools": [TOOL, {"type": "function", "function": {"name": "g"}}]},
            BadCode.TOOL_WITHOUT_SCHEMA,
            "tool g has no JSON Schema",
        ),
        (
            "bfcl",
            {"question": [{"role": "user", "content": "x"}], "function": [{"name": "g"}]},
            BadCode.TOOL_WITHOUT_SCHEMA,
            "tool g has no JSON Schema",
        ),
        (
            "bfcl",
            {"question": [{"role": "user", "content": "x"}], "function": [{"parameters": {}}]},
            BadCode.TOOL_WITHOUT_SCHEMA,
            "no name",
        ),
        ("plain", {"question": "Solve \frac{1}{2}"}, BadCode.DAMAGED_TEXT, "message 1 holds the control character"),
        ("gsm8k", {"question": "?", "answer": "#### \ufffd5"}, BadCode.DAMAGED_TEXT, "the reference holds U+FFFD"),
        ("plain", {"question": "x", "system": "\ue000"}, BadCode.DAMAGED_TEXT, "message 1 holds U+E000"),
        ("plain", {"question": "x" * (MAX_CHARS + 1)}, BadCode.TOO_LONG, "1,000,001 characters"),
        ("plain", {}, BadCode.MISFIT, "no prompt"),
    ],
)
def test_a_row_that_no_run_can_answer(preset: str, row: dict[str, Any], code: BadCode, text: str) -> None:
    error = refused(preset, row)
    assert error.code is code
    assert text in str(error)


def test_a_million_characters_are_a_query_still() -> None:
    row = {"question": "x" * MAX_CHARS}
    assert PRESETS["plain"](Fields(row, {}, "s", "MIT"), None).user_turns == (row["question"],)


def test_a_bfcl_function_without_arguments_says_so() -> None:
    row = {"question": [{"role": "user", "content": "x"}], "function": [{"name": "g", "parameters": {}}]}
    [tool] = PRESETS["bfcl"](Fields(row, {}, "s", "MIT"), None).tools
    assert tool["function"]["parameters"] == {"type": "object", "properties": {}}


def test_tags_of_the_template_are_no_bad_line() -> None:
    """A recipe's stage `normalise` refuses them: what is reserved belongs to the template, not to the registry."""
    row = {"question": "What does <think_on> do?"}
    assert PRESETS["plain"](Fields(row, {}, "s", "MIT"), None).user_turns == ("What does <think_on> do?",)
