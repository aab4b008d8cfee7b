"""Fields by mapping or by name, and values as text."""

from typing import Any

import pytest

from kat_data.domain.category import Category
from kat_data.domain.query import Message, Role
from kat_data.errors import ConfigError
from kat_data.sources.fields import Fields, as_text, parse_mapping
from kat_data.sources.row_error import RowError

ROW: dict[str, Any] = {"a": {"b": [{"c": "deep"}, "last"]}, "x.y": "dotted", "n": None, "t": "text", "empty": " \n"}


def fields(**mapping: str) -> Fields:
    return Fields(ROW, mapping, "s", "l")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.0.c", "deep"),
        ("a.b.-1", "last"),
        ("a.b.1", "last"),
        ("x.y", "dotted"),
        ("=literal", "literal"),
        ("a.b.2", None),
        ("a.b.c", None),
        ("t.0", None),
        ("absent", None),
    ],
)
def test_paths(path: str, value: Any) -> None:
    assert fields(prompt=path).find("prompt", "t") == value


def test_the_first_name_with_a_value_counts() -> None:
    assert fields().find("prompt", "absent", "n", "t", "x.y") == "text"


def test_a_missing_text_names_where_it_was_looked_for() -> None:
    with pytest.raises(RowError, match="no prompt: looked for absent, n, empty"):
        fields().text("prompt", "absent", "n", "empty")
    with pytest.raises(RowError, match=r"no prompt: looked for a\.q"):
        fields(prompt="a.q").text("prompt", "t")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (145.0, "145"),
        (0.5, "0.5"),
        (7, "7"),
        (True, "true"),
        ("1.0", "1.0"),
        (-0.0, "0"),
        (1e22, "10000000000000000000000"),
    ],
)
def test_numbers_as_text(value: Any, text: str) -> None:
    assert as_text(value, "answer") == text


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("nan"), float("inf"), b"x"])
def test_what_is_no_text(value: Any) -> None:
    with pytest.raises(RowError, match="answer is not text"):
        as_text(value, "answer")


def test_lists_come_as_lists_or_as_json_in_a_cell() -> None:
    row = {"list": [1], "cell": '["a", "b"]', "text": "a, b"}
    found = Fields(row, {}, "s", "l")
    assert found.list("tests", "list") == [1]
    assert found.list("tests", "cell") == ["a", "b"]
    assert found.list("tests", "absent") == []
    with pytest.raises(RowError, match="tests is not a list"):
        found.list("tests", "text")


def test_parse_mapping() -> None:
    assert parse_mapping(["prompt=a.b", "category==math"]) == {"prompt": "a.b", "category": "=math"}
    with pytest.raises(ConfigError, match="no field promt; prompt"):
        parse_mapping(["promt=a"])
    with pytest.raises(ConfigError, match="write field=path"):
        parse_mapping(["prompt"])


@pytest.mark.parametrize(
    ("pair", "advice"),
    [
        ("verifier==math2", "there is no verifier math2; math?"),
        ("category==mathh", "there is no category mathh; math?"),
        ("category==Q", "there is no category Q; code, math, science, general, multi_turn, tool_use"),
    ],
)
def test_a_word_that_is_none_is_refused_with_the_nearest(pair: str, advice: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_mapping([pair])
    assert str(raised.value) == f"--map {pair}: {advice}"
    field, _, word = pair.partition("==")
    assert parse_mapping([f"{field}={word}"]) == {field: word}


def test_a_document_is_named_where_the_mapping_says() -> None:
    messages = (Message(role=Role.USER, content="Hi"),)
    assert fields().query(messages=messages, category=Category.GENERAL).document is None
    found = fields(document="a.b.0.c").query(messages=messages, category=Category.GENERAL)
    assert found.document == "deep"
    assert found.hash == fields().query(messages=messages, category=Category.GENERAL).hash
    with pytest.raises(RowError, match=r"no document: looked for a\.page"):
        fields(document="a.page").query(messages=messages, category=Category.GENERAL)
