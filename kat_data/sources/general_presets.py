"""Presets `sharegpt`, `self_instruct` and `plain`."""

from typing import Any

from kat_data.domain.category import Category
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.sources.choice_preset import read_category
from kat_data.sources.conversation import category_of, read_messages, user_message
from kat_data.sources.fields import Answers, Fields, as_text
from kat_data.sources.row_error import RowError


def sharegpt(fields: Fields, _: Answers | None) -> Query:
    """ShareGPT: `conversations` or `messages`, a list of turns by human, gpt and system."""
    messages = read_messages(fields.list("messages", "conversations", "conversation", "messages"))
    return fields.query(messages=messages, category=category_of(messages))


def self_instruct(fields: Fields, _: Answers | None) -> Query:
    """Self-Instruct, Alpaca: `instruction`, with `input` and `output` in the first of `instances` or beside it."""
    instances = fields.list("instances", "instances")
    instance = instances[0] if instances else fields.row
    if not isinstance(instance, dict):
        raise RowError("the first of the instances is not an object")
    instruction = fields.text("prompt", "instruction").strip()
    given = instance.get("input")
    context = as_text(given, "input").strip() if given is not None else ""
    output = fields.find("reference") or instance.get("output")
    return fields.query(
        messages=user_message(f"{instruction}\n\n{context}" if context else instruction),
        category=Category.GENERAL,
        reference=(as_text(output, "output").strip() or None) if output is not None else None,
    )


def plain(fields: Fields, _: Answers | None) -> Query:
    """Read the first of `messages`, `problem`, `question`, `prompt`, `query`, `text` and `instruction`.

    Where the row has them, `system`, `reference` or `answer`, `category`, `verifier` and `tools` are taken too.
    """
    messages = _messages(fields)
    tools = tuple(fields.list("tools", "tools"))
    if not all(isinstance(tool, dict) for tool in tools):
        raise RowError("a tool is not an object")
    category = fields.optional_text("category", "category")
    return fields.query(
        messages=messages,
        category=read_category(category) if category else Category.TOOL_USE if tools else category_of(messages),
        tools=tools,
        reference=fields.optional_text("reference", "reference") or fields.optional_text("answer", "answer"),
        verifier=_verifier(fields.find("verifier", "verifier")),
    )


def _messages(fields: Fields) -> tuple[Message, ...]:
    listed = fields.list("messages", "messages")
    if not listed:
        text = fields.text("prompt", "problem", "question", "prompt", "query", "text", "instruction")
        messages = user_message(text)
    else:
        messages = read_messages(listed)
    system = fields.optional_text("system", "system")
    return (Message(role=Role.SYSTEM, content=system), *messages) if system else messages


def _verifier(value: Any) -> VerifierSpec | None:
    """Read a verifier given by its kind, or as an object of `kind` and `options`."""
    if value is None or value == "":  # an empty cell of CSV
        return None
    given = value if isinstance(value, dict) else {"kind": value}
    kind, options = given.get("kind"), given.get("options") or {}
    if not isinstance(kind, str) or kind not in tuple(VerifierKind) or not isinstance(options, dict):
        raise RowError(f"{kind!r} is no verifier: {', '.join(VerifierKind)}")
    return VerifierSpec(kind=VerifierKind(kind), options=options)
