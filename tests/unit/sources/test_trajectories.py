"""Conversations with calls and results: OpenAI's and ShareGPT's fields, tau-bench's transcripts, sets of tools."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kat_data.domain.bad_line import BadLine
from kat_data.domain.category import Category
from kat_data.domain.history import history_flaw
from kat_data.domain.query import Message, Query, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import InputError
from kat_data.sources.conversation import read_messages
from kat_data.sources.fields import Fields
from kat_data.sources.presets import PRESETS, fingerprint, read_queries
from kat_data.sources.row_error import RowError
from kat_data.sources.tool_preset import read_tools

ONE, TWO = ToolCall(name="f", arguments={"n": 1}), ToolCall(name="g", arguments={})
USER = {"role": "user", "content": "Go."}


def called(*calls: tuple[str, ToolCall]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": name, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
            for name, call in calls
        ],
    }


def result(name: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "name": "f", "content": content}


def tau(row: dict[str, Any]) -> Query:
    return PRESETS["tau_bench"](Fields(row, {}, "source", "licence"), None)


def test_results_are_put_into_the_order_of_their_calls() -> None:
    messages = read_messages([USER, called(("a", ONE), ("b", TWO)), result("b", "second"), result("a", "first"), USER])
    assert messages[1] == Message(role=Role.ASSISTANT, content="", tool_calls=(ONE, TWO))
    assert [m.content for m in messages[2:]] == ["first", "second", "Go."]
    assert history_flaw(messages) is None


def test_sharegpt_s_function_calls_are_the_assistant_s() -> None:
    value = json.dumps({"name": "f", "arguments": {"n": 1}})
    said = [("human", "Go."), ("function_call", value), ("observation", "done"), ("gpt", "Done.")]
    messages = read_messages([{"from": who, "value": what} for who, what in said])
    assert messages[1] == Message(role=Role.ASSISTANT, content="", tool_calls=(ONE,))
    assert messages[2].role is Role.TOOL


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([USER, called(("a", ONE)), result("c", "x")], "names the call 'c'"),
        ([USER, {"role": "assistant", "tool_calls": [{"function": {}}]}], "has no name"),
        ([USER, {"role": "assistant", "tool_calls": "f"}], "not a list"),
        ([USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]}], "not JSON"),
        ([USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "[1]"}]}], "not an object"),
        ([USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"x": "\0"}}]}], "NUL"),
        ([USER, {"from": "function_call", "value": "f(1)"}], "not JSON"),
    ],
)
def test_calls_that_cannot_be_read_are_refused(messages: list[Any], why: str) -> None:
    with pytest.raises(RowError, match=why):
        read_messages(messages)


def test_a_solved_tau_bench_trajectory_keeps_its_calls() -> None:
    row = {
        "traj": [{"role": "system", "content": "Policy."}, USER, called(("a", ONE)), result("a", "ok")],
        "reward": 1.0,
    }
    query = tau({**row, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]})
    assert query.category is Category.TOOL_USE
    assert query.messages[2].tool_calls == (ONE,)
    assert query.tools[0]["function"]["name"] == "f"
    with pytest.raises(RowError, match=r"the reward is 0\.0: only solved tasks"):
        tau({**row, "reward": 0.0})


def test_a_tau_bench_text_has_no_calls_and_says_so_as_a_flaw() -> None:
    text = "user: Hi, I'm Ann.\nassistant: None\ntool: ann_1\nassistant: Hello:\n- one\nuser: Bye."
    query = tau({"messages_display": text})
    assert [(m.role, m.content) for m in query.messages] == [
        (Role.USER, "Hi, I'm Ann."),
        (Role.ASSISTANT, ""),
        (Role.TOOL, "ann_1"),
        (Role.ASSISTANT, "Hello:\n- one"),
        (Role.USER, "Bye."),
    ]
    assert history_flaw(query.messages) == "message 3 is the result of no call that the conversation holds"
    with pytest.raises(RowError):
        tau({"messages_display": "nobody speaks"})


def test_a_set_of_tools_serves_queries_that_bring_none(tmp_path: Path) -> None:
    tools_file, file = tmp_path / "tools.json", tmp_path / "rows.jsonl"
    described = {"name": "f", "description": "F.", "parameters": {"type": "dict", "properties": {}}}
    tools_file.write_text(json.dumps(described) + "\n" + json.dumps({"type": "function", "function": described}))
    rows = [
        {"question": "2?"},
        {"question": "3?", "tools": [{"name": "own", "parameters": {"type": "object"}}]},
        {"question": "4?", "category": "math"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    tools = read_tools(tools_file)
    assert [tool["function"]["parameters"]["type"] for tool in tools] == ["object", "object"]
    read = list(read_queries(file, preset="plain", source="s", licence="l", tools=tools))
    queries = [item[1] for item in read if not isinstance(item, BadLine)]
    assert [query.tools == tools for query in queries] == [True, False, True]
    assert [query.category for query in queries] == [Category.TOOL_USE, Category.TOOL_USE, Category.MATH]
    given = {"preset": "plain", "source": "s"}
    assert fingerprint(file, **given) != fingerprint(file, **given, tools=tools)
    assert fingerprint(file, **given) == fingerprint(file, **given, tools=())


def test_a_set_without_a_tool_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tools.jsonl"
    file.write_text('{"description": "nameless"}')
    with pytest.raises(InputError, match="line 1: a function has no name"):
        read_tools(file)


DATA = Path(os.environ.get("KAT_TEST_DATA", "../shared/data"))


@pytest.mark.skipif(not (DATA / "tau-bench").is_dir(), reason="the public data sets are not here")
def test_public_transcripts_and_function_docs_are_read() -> None:
    flaws: Counter[bool] = Counter()
    for name in ("Airline", "Retail"):
        path = DATA / "tau-bench" / f"Mock{name}DomainEnv-few_shot.jsonl"
        for item in read_queries(path, preset="tau_bench", source="s", licence="MIT"):
            assert not isinstance(item, BadLine), item
            flaws[history_flaw(item[1].messages) is not None] += 1
    assert flaws == {True: 87, False: 1}
    counts = [len(read_tools(path)) for path in sorted((DATA / "bfcl-v4").glob("func_doc.*.json"))]
    assert sum(counts) == 128
