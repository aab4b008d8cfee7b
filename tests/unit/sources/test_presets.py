"""Each preset on rows of its shape, and on rows that do not fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from kat_data.domain.bad_line import BadCode, BadLine
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.errors import ConfigError, InputError
from kat_data.sources.fields import Fields
from kat_data.sources.math_presets import last_boxed
from kat_data.sources.presets import PRESETS, find_preset, fingerprint, read_queries
from kat_data.sources.row_error import RowError
from kat_data.sources.tool_preset import json_schema, read_answers

MATH = VerifierSpec(kind=VerifierKind.MATH)


def parse(preset: str, row: dict[str, Any], answers: dict[str, Any] | None = None, **mapping: str) -> Query:
    return PRESETS[preset](Fields(row, mapping, "source", "licence"), answers)


def only_text(query: Query) -> str:
    assert [message.role for message in query.messages] == [Role.USER]
    return query.messages[0].content


def test_gsm8k() -> None:
    query = parse("gsm8k", {"question": "How many?", "answer": "48 / 2 = <<48/2=24>>24\n#### 1,024"})
    assert only_text(query) == "How many?"
    assert (query.reference, query.verifier, query.category) == ("1024", MATH, Category.MATH)
    assert (query.source, query.licence) == ("source", "licence")
    for row in ({"question": "q", "answer": "24"}, {"question": "q", "answer": "#### "}, {"answer": "#### 1"}):
        with pytest.raises(RowError):
            parse("gsm8k", row)


@pytest.mark.parametrize(
    ("row", "text", "reference"),
    [
        ({"problem": "p", "solution": r"so \boxed{1}, no: \boxed{\frac{1}{2}}."}, "p", r"\frac{1}{2}"),
        ({"problem": "p", "solution": "no box", "answer": "7"}, "p", "7"),
        ({"Body": "Ten birds. ", "Question": "How many?", "Answer": 145.0}, "Ten birds. How many?", "145"),
        ({"input": "i", "target": 43.0}, "i", "43"),
        ({"question": "问题", "answer": " 9 "}, "问题", "9"),
        ({"question": "q", "answer": 0.25}, "q", "0.25"),
    ],
)
def test_math(row: dict[str, Any], text: str, reference: str) -> None:
    query = parse("math", row)
    assert (only_text(query), query.reference, query.verifier, query.category) == (text, reference, MATH, Category.MATH)


def test_math_needs_an_answer() -> None:
    with pytest.raises(RowError, match="no answer: looked for answer, Answer, target"):
        parse("math", {"problem": "p", "solution": "no box"})


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"\boxed{a{b}c}", "a{b}c"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed 5", "5"),
        (r"\fbox{x}", "x"),
        (r"\boxed{open", None),
        (r"\boxed{ }", None),
        ("none", None),
    ],
)
def test_last_boxed(text: str, boxed: str | None) -> None:
    assert last_boxed(text) == boxed


@pytest.mark.parametrize(
    ("row", "letter"),
    [
        ({"question": "q", "choices": ["red", "blue", "2"], "answer": 1}, "B"),
        ({"question": "q", "choices": ["red", "blue", "2"], "answer": "b"}, "B"),
        ({"question": "q", "choices": ["red", "blue", "2"], "answer": "(C)"}, "C"),
        ({"question": "q", "choices": ["red", "blue", "2"], "answer": "2"}, "C"),
        ({"question": "q", "options": ["A)red", "B) blue", "(C) 2"], "correct": "A"}, "A"),
        ({"question": "q", "choices": {"text": ["red", "blue", "2"], "label": ["A", "B", "C"]}, "answerKey": "C"}, "C"),
        ({"question": "q", "options": {"A": "red", "B": "blue", "C": "2"}, "answer": "blue"}, "B"),
        ({"question": "q", "choices": '["red", "blue", "2"]', "answer": "A"}, "A"),
    ],
)
def test_mcq(row: dict[str, Any], letter: str) -> None:
    query = parse("mcq", row)
    assert only_text(query) == "q\n\nA. red\nB. blue\nC. 2"
    assert query.reference == letter
    assert query.verifier == VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": ["red", "blue", "2"]})


def test_mcq_keeps_letters_that_belong_to_the_text() -> None:
    query = parse("mcq", {"question": "q", "choices": ["A. Einstein", "N. Bohr"], "answer": 0})
    assert only_text(query) == "q\n\nA. A. Einstein\nB. N. Bohr"


def test_mcq_category_by_subject_or_mapping() -> None:
    row = {"question": "q", "choices": ["x", "y"], "answer": 0}
    assert parse("mcq", row).category is Category.SCIENCE
    assert parse("mcq", {**row, "type": "college_mathematics"}).category is Category.MATH
    assert parse("mcq", {**row, "subject": "biology"}).category is Category.SCIENCE
    assert parse("mcq", row, category="=general").category is Category.GENERAL
    with pytest.raises(RowError, match="'maths' is no category"):
        parse("mcq", row, category="=maths")


@pytest.mark.parametrize("answer", [4, -1, "E", "green", None, True, 1.0])
def test_mcq_answers_outside_the_choices(answer: Any) -> None:
    with pytest.raises(RowError, match="names none of the 2 choices"):
        parse("mcq", {"question": "q", "choices": ["x", "y"], "answer": answer})


def test_mbpp() -> None:
    row = {
        "text": "Count the nodes.",
        "code": "class Node:\r\n  pass\r\ndef helper(x): return x\r\ndef count(node):\r\n  return 1",
        "test_setup_code": "root = Node()\r\n",
        "test_list": ["assert set([count(root)]) == {1}", r"assert count('\d') == 1"],
    }
    query = parse("mbpp", row)
    assert "```python\nassert set([count(root)]) == {1}\nassert count('\\d') == 1\n```" in only_text(query)
    assert query.category is Category.CODE
    assert query.reference == row["code"].replace("\r\n", "\n")
    assert query.verifier is not None
    assert query.verifier.kind is VerifierKind.CODE
    assert query.verifier.options == {
        "tests": row["test_list"],
        "setup": "root = Node()",
        "entry": "count",
        "names": ["Node"],
    }


def test_mbpp_sanitised_and_without_a_program() -> None:
    row = {"prompt": "p", "test_imports": ["import math"], "test_list": ["assert len(area(2)) == math.ceil(3.1)"]}
    query = parse("mbpp", row)
    assert query.reference is None
    assert query.verifier is not None
    assert query.verifier.options["setup"] == "import math"
    assert query.verifier.options["entry"] == "area"


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ([], "no tests"),
        (["assert ("], "not Python"),
        (["assert len([]) == 0"], "call no function"),
        ("f()", "not a list"),
    ],
)
def test_mbpp_without_usable_tests(tests: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        parse("mbpp", {"text": "p", "test_list": tests})


def test_humaneval() -> None:
    head = (
        'from typing import List\n\ndef helper(x):\n    return x\n\ndef add(a: int, b: int) -> int:\n    """Add."""\n'
    )
    row = {
        "prompt": head,
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        "entry_point": "add",
    }
    query = parse("humaneval", row)
    assert head.strip() in only_text(query)
    assert query.reference == f"{head}    return a + b\n"
    assert query.verifier is not None
    assert query.verifier.options == {
        "tests": ["def check(candidate):\n    assert candidate(1, 2) == 3\n\ncheck(add)"],
        "setup": "from typing import List\n\ndef helper(x):\n    return x",
        "entry": "add",
    }
    with pytest.raises(RowError, match="does not define sub"):
        parse("humaneval", {**row, "entry_point": "sub"})


def test_sharegpt() -> None:
    turns = [("system", "Be kind."), ("human", "Hi"), ("gpt", "Hello"), ("human", "Bye"), ("gpt", "See you")]
    query = parse("sharegpt", {"conversations": [{"from": who, "value": what} for who, what in turns]})
    roles = (Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER, Role.ASSISTANT)
    assert query.messages == tuple(
        Message(role=role, content=what) for role, (_, what) in zip(roles, turns, strict=True)
    )
    assert (query.category, query.reference, query.verifier) == (Category.MULTI_TURN, None, None)
    single = parse(
        "sharegpt", {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}
    )
    assert single.category is Category.GENERAL


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        ([{"from": "gpt", "value": "Hello"}], "no user turn"),
        ([], "no user turn"),
        ([{"from": "narrator", "value": "Hello"}], "unknown role 'narrator'"),
        ([{"from": "human", "value": " "}], "user message is empty"),
        (["Hello"], "not an object"),
        ("Hello", "not a list"),
    ],
)
def test_sharegpt_rows_that_do_not_fit(conversation: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        parse("sharegpt", {"conversations": conversation})


FUNCTION = {
    "name": "geo.area",
    "description": "Area.",
    "parameters": {
        "type": "dict",
        "properties": {
            "base": {"type": "float", "description": "b"},
            "type": {"type": "String", "enum": ["x"]},
            "points": {"type": "array", "items": {"type": "tuple", "items": {"type": "integer"}}},
            "options": {"type": "HashMap", "properties": {"deep": {"type": "any"}}},
        },
        "required": ["base"],
    },
}


def test_bfcl() -> None:
    row = {"id": "simple_0", "question": [[{"role": "user", "content": "Area?"}]], "function": [FUNCTION]}
    possible = [{"geo.area": {"base": [10], "type": ["x", ""]}}]
    query = parse("bfcl", row, {"simple_0": possible})
    assert only_text(query) == "Area?"
    assert query.category is Category.TOOL_USE
    assert query.verifier == VerifierSpec(kind=VerifierKind.TOOL_CALL, options={"possible": possible})
    assert json.loads(query.reference or "") == possible
    function = query.tools[0]["function"]
    assert (query.tools[0]["type"], function["name"], function["description"]) == ("function", "geo.area", "Area.")
    assert function["parameters"] == {
        "type": "object",
        "properties": {
            "base": {"type": "number", "description": "b"},
            "type": {"type": "string", "enum": ["x"]},
            "points": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
            "options": {"type": "object", "properties": {"deep": {}}},
        },
        "required": ["base"],
    }
    without = parse("bfcl", row)
    assert (without.verifier, without.reference) == (None, None)
    with pytest.raises(RowError, match="no answer for id 'simple_0'"):
        parse("bfcl", row, {})


def test_json_schema_leaves_proper_schemas_alone() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False}
    assert json_schema(schema) == schema


def test_read_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text('{"id": "a", "ground_truth": []}\n{"id": "b", "ground_truth": [{"f": {}}]}\n')
    assert read_answers(path) == {"a": [], "b": [{"f": {}}]}
    path.write_text('{"id": "a", "ground_truth": []}\n{"id": "b"}\n')
    with pytest.raises(InputError, match="line 2: an answer needs"):
        read_answers(path)


def test_self_instruct() -> None:
    row = {"instruction": "Translate.", "instances": [{"input": "Hallo", "output": "Hello"}]}
    query = parse("self_instruct", row)
    assert only_text(query) == "Translate.\n\nHallo"
    assert (query.reference, query.verifier, query.category) == ("Hello", None, Category.GENERAL)
    bare = parse("self_instruct", {"instruction": "Sing.", "input": "", "output": ""})
    assert only_text(bare) == "Sing."
    assert bare.reference is None


@pytest.mark.parametrize("name", ["problem", "question", "prompt", "query", "text", "instruction"])
def test_plain_reads_the_first_text(name: str) -> None:
    query = parse("plain", {name: "What?", "other": "x"})
    assert only_text(query) == "What?"
    assert (query.category, query.reference, query.verifier) == (Category.GENERAL, None, None)


def test_plain_order() -> None:
    row = {"instruction": "3", "question": "2", "messages": [{"role": "user", "content": "1"}]}
    assert only_text(parse("plain", row)) == "1"
    del row["messages"]
    assert only_text(parse("plain", row)) == "2"


def test_plain_takes_what_is_there() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    options = {"must_include": ["x"]}
    row = {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
        "system": "Be brief.",
        "answer": 12.0,
        "category": "science",
        "verifier": {"kind": "format", "options": options},
        "tools": [tool],
    }
    query = parse("plain", row)
    assert query.system == "Be brief."
    assert query.user_turns == ("a", "c")
    assert (query.reference, query.category, query.tools) == ("12", Category.SCIENCE, (tool,))
    assert query.verifier == VerifierSpec(kind=VerifierKind.FORMAT, options=options)
    assert parse("plain", {**row, "category": None}).category is Category.TOOL_USE
    assert parse("plain", {**row, "category": None, "tools": None}).category is Category.MULTI_TURN
    assert parse("plain", {"question": "q", "verifier": "math", "answer": "1"}).verifier == MATH
    assert parse("plain", {"question": "q", "verifier": "", "answer": ""}).verifier is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "no prompt"),
        ({"question": ["q"]}, "prompt is not text but list"),
        ({"question": "q", "category": "maths"}, "no category"),
        ({"question": "q", "verifier": "luck"}, "'luck' is no verifier"),
        ({"question": "q", "verifier": {"options": {}}}, "None is no verifier"),
        ({"question": "q", "verifier": [1]}, "no verifier"),
        ({"question": "q", "verifier": {"kind": ["math"]}}, "no verifier"),
        ({"question": "q", "tools": ["f"]}, "a tool is not an object"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "no user turn"),
    ],
)
def test_plain_rows_that_do_not_fit(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        parse("plain", row)


def test_a_verifier_needs_its_reference_in_every_preset() -> None:
    with pytest.raises(RowError, match="verifier math needs a reference"):
        parse("math", {"problem": "p", "reference": " "}, reference="reference")
    with pytest.raises(RowError, match="verifier math needs a reference"):
        parse("plain", {"question": "q", "answer": " \n"}, verifier="=math")
    with pytest.raises(RowError, match="verifier code needs tests"):
        parse("plain", {"question": "q", "verifier": {"kind": "code", "options": {"entry": "f"}}})


def test_bfcl_answers_that_are_no_list_do_not_fit() -> None:
    row = {"question": [{"role": "user", "content": "Area?"}], "function": [FUNCTION], "ground_truth": "geo.area(1)"}
    with pytest.raises(RowError, match="verifier tool_call needs possible"):
        parse("bfcl", row)
    assert parse("bfcl", {**row, "ground_truth": []}).verifier is not None


def test_a_mapping_covers_other_shapes() -> None:
    row = {"data": {"turns": ["first", "second"]}, "gold": {"value": 3.0}}
    query = parse("plain", row, prompt="data.turns.1", reference="gold.value", category="=math", verifier="=math")
    assert (only_text(query), query.reference, query.category, query.verifier) == ("second", "3", Category.MATH, MATH)
    assert parse("math", row, prompt="data.turns.0", answer="gold.value").reference == "3"


def test_read_queries_keeps_the_good_rows(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(
        '{"question": "q", "answer": "#### 1"}\nbroken\n{"question": "q"}\n{"question": "r", "answer": "#### 2"}'
    )
    items = list(read_queries(path, preset="gsm8k", source="s", licence="any words at all"))
    assert [item.number if isinstance(item, BadLine) else item[0] for item in items] == [1, 2, 3, 4]
    assert [isinstance(item, BadLine) for item in items] == [False, True, True, False]
    assert items[2] == BadLine(number=3, reason="no answer: looked for answer", code=BadCode.MISFIT)
    assert isinstance(items[3], tuple)
    assert items[3][1].licence == "any words at all"


def test_unknown_presets_and_misplaced_answers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no preset gsm8: did you mean gsm8k"):
        find_preset("gsm8")
    with pytest.raises(ConfigError, match="preset bfcl only"):
        read_queries(tmp_path, preset="plain", source="s", licence="l", answers={})


def test_fingerprints_tell_content_and_options_apart(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("same")
    second.write_text("same")
    known = fingerprint(first, preset="plain", source="s")
    assert fingerprint(second, preset="plain", source="s") == known
    assert len(known) == 32
    second.write_text("other")
    others = {
        fingerprint(second, preset="plain", source="s"),
        fingerprint(first, preset="math", source="s"),
        fingerprint(first, preset="plain", source="t"),
        fingerprint(first, preset="plain", source="s", mapping={"prompt": "x"}),
        fingerprint(first, preset="plain", source="s", answers={"a": []}),
    }
    assert len(others - {known}) == 5
