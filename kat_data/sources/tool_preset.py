"""Presets `bfcl` (function calling, with answers from a second file) and `tau_bench` (transcripts); sets of tools."""

import re
from pathlib import Path
from typing import Any

import orjson

from kat_data.domain.bad_line import BadCode, BadLine
from kat_data.domain.category import Category
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.domain.tool import NO_ARGUMENTS
from kat_data.errors import InputError
from kat_data.sources.conversation import read_messages
from kat_data.sources.fields import Answers, Fields
from kat_data.sources.read import read_rows
from kat_data.sources.row_error import RowError

# BFCL names types as Python, Java and JavaScript do; none stands for "any", which JSON Schema says by silence.
_TYPES = {
    "dict": "object",
    "hashmap": "object",
    "float": "number",
    "double": "number",
    "long": "integer",
    "tuple": "array",
    "arraylist": "array",
    "char": "string",
    "any": None,
    "": None,
}
_SPEAKER = re.compile(r"^(user|assistant|tool|system): ", re.MULTILINE)
_JSON_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def bfcl(fields: Fields, answers: Answers | None) -> Query:
    """BFCL: `question` (turns of messages), `function` (its function docs), and `ground_truth` of the answers file."""
    turns = fields.list("messages", "question")
    messages = [message for turn in turns for message in (turn if isinstance(turn, list) else [turn])]
    tools = tuple(_tool(function) for function in fields.list("tools", "function"))
    possible = _possible(fields, answers)
    return fields.query(
        messages=read_messages(messages),
        category=Category.TOOL_USE,
        tools=tools,
        reference=orjson.dumps(possible).decode() if possible is not None else None,
        verifier=VerifierSpec(kind=VerifierKind.TOOL_CALL, options={"possible": possible})
        if possible is not None
        else None,
    )


def tau_bench(fields: Fields, _: Answers | None) -> Query:
    """tau-bench: `traj` (messages with calls and results) with its `reward`, or `messages_display` (a text).

    Only solved tasks are taken where the reward is known. A text leaves the calls out: it gives the user's messages and
    the tools' results, and an environment that is emulated must give results anew.
    """
    reward = fields.find("reward", "reward")
    if reward is not None and reward != 1:
        raise RowError(f"the reward is {reward}: only solved tasks are taken")
    listed = fields.list("messages", "traj", "messages")
    messages = read_messages(listed) if listed else read_messages(_displayed(fields.text("text", "messages_display")))
    return fields.query(
        messages=messages,
        category=Category.TOOL_USE,
        tools=tuple(_tool(tool.get("function", tool)) for tool in fields.list("tools", "tools")),
    )


def _displayed(text: str) -> list[dict[str, str]]:
    """Cut a transcript into its messages; `None` stands for an answer that was calls alone."""
    starts = [*_SPEAKER.finditer(text)]
    if not starts:
        raise RowError("messages_display names no speaker")
    ends = [start.start() for start in starts[1:]] + [len(text)]
    said = [(start[1], text[start.end() : end].strip()) for start, end in zip(starts, ends, strict=True)]
    return [
        {"role": role, "content": "" if role == "assistant" and content == "None" else content}
        for role, content in said
    ]


def read_tools(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a set of tools, one function's description a row, in OpenAI's or BFCL's fields.

    Raises `InputError` where one is bad, or none is there.
    """
    tools = []
    for item in read_rows(path):
        if isinstance(item, BadLine):
            raise InputError(f"{path}, line {item.number}: {item.reason}.")
        number, row = item
        try:
            tools.append(_tool(row.get("function", row)))
        except RowError as error:
            raise InputError(f"{path}, line {number}: {error}.") from error
    if not tools:
        raise InputError(f"{path} describes no tool.")
    return tuple(tools)


def read_answers(path: Path) -> dict[str, Any]:
    """Read BFCL's `possible_answer` file: id to list of possible calls; raises `InputError` where a line is bad."""
    answers = {}
    for item in read_rows(path):
        if isinstance(item, BadLine):
            raise InputError(f"{path}, line {item.number}: {item.reason}.")
        number, row = item
        if not isinstance(row.get("id"), str) or not isinstance(row.get("ground_truth"), list):
            raise InputError(f"{path}, line {number}: an answer needs the fields id and ground_truth.")
        answers[row["id"]] = row["ground_truth"]
    return answers


def json_schema(schema: Any) -> Any:
    """Return a BFCL parameter description as JSON Schema."""
    if not isinstance(schema, dict):
        return schema
    made = {name: value for name, value in schema.items() if name not in ("type", "properties", "items")}
    if kind := _json_type(schema.get("type")):
        made["type"] = kind
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {name: json_schema(value) for name, value in schema["properties"].items()}
    if "items" in schema:
        made["items"] = json_schema(schema["items"])
    return made


def _json_type(kind: Any) -> Any:
    if not isinstance(kind, str):
        return kind
    lowered = kind.lower()
    return _TYPES.get(lowered, lowered if lowered in _JSON_TYPES else None)


def _tool(function: Any) -> dict[str, Any]:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RowError("a function has no name", BadCode.TOOL_WITHOUT_SCHEMA)
    parameters = json_schema(NO_ARGUMENTS if function.get("parameters") == {} else function.get("parameters"))
    described = {"name": function["name"], "description": function.get("description", ""), "parameters": parameters}
    return {"type": "function", "function": described}


def _possible(fields: Fields, answers: Answers | None) -> Any:
    if answers is None:
        return fields.find("reference", "ground_truth")
    name = fields.row.get("id")
    if not isinstance(name, str) or name not in answers:
        raise RowError(f"the answers file has no answer for id {name!r}")
    return answers[name]
