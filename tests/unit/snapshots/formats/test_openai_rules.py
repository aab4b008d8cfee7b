"""OpenAI's format, held against the published rules for fine-tuning files by a checker of our own."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from kat_data.snapshots.formats.export import export
from kat_data.snapshots.formats.formats import ExportFormat
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import TrainingStage

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KEYS = {
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "weight"},
    "tool": {"role", "content", "tool_call_id"},
}


@pytest.mark.parametrize("stage", [TrainingStage.STAGE1, TrainingStage.STAGE2])
def test_openai_lines_keep_its_rules(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot], stage: TrainingStage
) -> None:
    exported = export(make_snapshot(stage), ExportFormat.OPENAI, tmp_path / "out")
    assert [file.name for file in exported.files] == ["test.jsonl", "train.jsonl"]
    found = [line for file in exported.files for line in file.read_bytes().splitlines()]
    assert [problems(line) for line in found] == [[]] * exported.rows
    assert any(b'"tools"' in line for line in found)
    if stage is TrainingStage.STAGE1:
        assert any(b'"weight":0' in line for line in found)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda row: row["messages"].pop(), "the last message is not the assistant's"),
        (lambda row: row["messages"][0].update(mode="on"), "key mode of user"),
        (lambda row: row.update(id="1"), "unknown key id"),
        (lambda row: row["messages"][-1].update(weight=0), "no answer to learn from"),
    ],
)
def test_the_checker_sees_what_is_wrong(spoil: Callable[[Any], Any], found: str) -> None:
    row = {"messages": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]}
    assert problems(orjson.dumps(row)) == []
    spoil(row)
    assert found in problems(orjson.dumps(row))


def problems(line: bytes) -> list[str]:
    """Return what the service would say against one line of a file."""
    row = orjson.loads(line)
    found = [f"unknown key {key}" for key in row.keys() - {"messages", "tools", "parallel_tool_calls"}]
    messages = row.get("messages") or []
    if not any(message.get("role") == "assistant" and message.get("weight", 1) for message in messages):
        found.append("no answer to learn from")
    if not messages or messages[-1].get("role") != "assistant":
        found.append("the last message is not the assistant's")
    names = {tool["function"]["name"] for tool in row.get("tools", [])}
    for tool in row.get("tools", []):
        found += _of_tool(tool)
    for message in messages:
        found += _of_message(message, names)
    return found + _unanswered(messages)


def _of_tool(tool: dict[str, Any]) -> list[str]:
    function = tool.get("function", {})
    return [
        what
        for what, wrong in {
            "a tool of another type": tool.get("type") != "function",
            "a tool's name": not _NAME.fullmatch(function.get("name", "")),
            "a tool's parameters": function.get("parameters", {}).get("type") != "object",
        }.items()
        if wrong
    ]


def _of_message(message: dict[str, Any], names: set[str]) -> list[str]:
    role = message.get("role")
    if role not in _KEYS:
        return [f"the role {role}"]
    found = [f"key {key} of {role}" for key in message.keys() - _KEYS[role]]
    if not isinstance(message.get("content"), str) or not message["content"]:
        found.append("no content")
    if message.get("weight", 1) not in (0, 1):
        found.append("a weight that is neither 0 nor 1")
    for call in message.get("tool_calls", []):
        if call.keys() != {"id", "type", "function"} or call["function"].keys() != {"name", "arguments"}:
            found.append("a call of another form")
        elif call["function"]["name"] not in names or not isinstance(orjson.loads(call["function"]["arguments"]), dict):
            found.append("a call of an unknown tool, or arguments that are no object")
    return found


def _unanswered(messages: list[dict[str, Any]]) -> list[str]:
    waiting: list[str] = []
    found = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                found.append("a result of no call")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            found.append("a call without a result")
        waiting = [call["id"] for call in message.get("tool_calls", [])]
    return found
