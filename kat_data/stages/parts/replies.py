"""What models are asked to reply, as records whose JSON Schemas go with the request.

Fields stand in the order in which a model should write them: reasons before decisions. Length bounds stand in the
schema alone, where they keep small models from rambling; a longer text is no reason to refuse a reply.
"""

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

Brief = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 160})]
Short = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 300})]
Long = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 1200})]
Findings = Annotated[
    tuple[str, ...],
    WithJsonSchema({"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 160}}),
]


def _bare(schema: dict[str, Any]) -> None:
    """Keep docstrings and titles out of the schema: editing one must not change what a call is."""
    schema.pop("description", None)
    schema.pop("title", None)
    for field in schema["properties"].values():
        field.pop("title", None)
    schema["additionalProperties"] = False


class ReplyRecord(BaseModel):
    """A reply's fields; the schema forbids others, reading ignores them."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra=_bare)


class TagReply(ReplyRecord):
    """One model's labels for a query."""

    steps: Brief
    difficulty: int = Field(ge=1, le=10)
    domain: Annotated[str, WithJsonSchema({"type": "string", "maxLength": 40})]
    verifiable: bool


class LabelledTagReply(TagReply):
    """The same with further labels; `tag_reply` narrows the domain and the labels to the taxonomy's."""

    labels: dict[str, Any]


Values = tuple[tuple[str, tuple[str, ...]], ...]


@lru_cache(maxsize=64)
def tag_reply(domains: tuple[str, ...], labels: Values) -> type[TagReply]:
    """Return the reply record for these domains and these labels with their values.

    Its schema allows nothing else; reading takes any text, as not every endpoint holds models to a schema.
    """
    domain: Any = Annotated[str, WithJsonSchema(_one_of(domains))]
    if not labels:
        return create_model("NarrowTagReply", __base__=TagReply, domain=(domain, ...))
    properties = {name: _one_of(values) for name, values in labels}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    given: Any = Annotated[dict[str, Any], WithJsonSchema(schema)]
    return create_model("NarrowTagReply", __base__=LabelledTagReply, domain=(domain, ...), labels=(given, ...))


def _one_of(values: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


class VoteReply(ReplyRecord):
    """One model's opinion on the mode of a turn."""

    reason: Brief
    mode: Literal["think_on", "think_off"]


class PanelReply(ReplyRecord):
    """One model's judgement of an answer that no verifier can check."""

    reason: Brief
    score: int = Field(ge=1, le=5)
    good: bool


class CriticReply(ReplyRecord):
    """The critic's review of one round; `check` is its own work and is shown to nobody who writes."""

    check: Short
    findings: Findings
    passed: bool


class EmulatedReply(ReplyRecord):
    """What a tool gives for one call."""

    result: dict[str, Any]


class PlanReply(ReplyRecord):
    """How a task is to be done, step by step."""

    steps: Annotated[
        tuple[str, ...],
        WithJsonSchema({"type": "array", "minItems": 1, "maxItems": 5, "items": {"type": "string", "maxLength": 160}}),
    ]


class JudgeReply(ReplyRecord):
    """Why the mode suits the message."""

    analysis: Short


class ParaphraseReply(ReplyRecord):
    """A directive in other words."""

    text: Brief


class ScoredAnswer(ReplyRecord):
    """One answer's scores; `scores_reply` adds a field for each dimension."""

    reason: Brief


class ScoresReply(ReplyRecord):
    """A judge's scores of several answers, in the order in which it saw them."""

    answers: tuple[Any, ...]


@lru_cache(maxsize=256)
def scores_reply(dimensions: tuple[str, ...], answers: int) -> type[ScoresReply]:
    """Return the reply record for scores from 1 to 5 of that many answers in each dimension."""
    score: Any = (int, Field(ge=1, le=5))
    scored: Any = create_model("Scored", __base__=ScoredAnswer, **dict.fromkeys(dimensions, score))
    listed: Any = Annotated[tuple[scored, ...], Field(min_length=answers, max_length=answers)]
    return create_model("Scores", __base__=ScoresReply, answers=(listed, ...))


class ToolsReply(ReplyRecord):
    """An explanation to the user, then the calls; `tools_reply` narrows `calls` to the tools at hand."""

    thinking: ClassVar[str] = ""
    explanation: Short
    calls: tuple[Any, ...]


class ReasonedToolsReply(ReplyRecord):
    """The same with the reasoning first."""

    thinking: str
    explanation: Short
    calls: tuple[Any, ...]


def tools_reply(
    tools: tuple[dict[str, Any], ...], *, reasoned: bool, may_answer: bool = False, typed: bool = False
) -> type[ToolsReply] | type[ReasonedToolsReply]:
    """Return the reply record for `tools`, whose calls can name no other tool.

    Where the explanation `may_answer` the user, it may be longer. `typed` puts the tools' own schemas of arguments into
    the reply's, which endpoints can take where these are as plain as our own.
    """
    schemas = orjson.dumps([tool_function(tool)["parameters"] for tool in tools]) if typed else b""
    return _calls_of(tuple(tool_function(tool)["name"] for tool in tools), reasoned, may_answer, schemas)


@lru_cache(maxsize=256)
def _calls_of(
    names: tuple[str, ...], reasoned: bool, may_answer: bool, schemas: bytes
) -> type[ToolsReply] | type[ReasonedToolsReply]:
    named: Any = Literal[names]
    call: Any = create_model("Call", __base__=ReplyRecord, name=(named, ...), arguments=(dict[str, Any], ...))
    calls: Any = Annotated[tuple[call, ...], Field(json_schema_extra={"maxItems": 16})]
    if schemas:
        items = [_typed(name, schema) for name, schema in zip(names, orjson.loads(schemas), strict=True)]
        listed = {"type": "array", "maxItems": 16, "items": {"anyOf": items}}
        calls = Annotated[tuple[call, ...], WithJsonSchema(listed)]
    fields: dict[str, Any] = {"explanation": (Long, ...)} if may_answer else {}
    fields["calls"] = (calls, ...)
    if reasoned:
        return create_model("ReasonedCalls", __base__=ReasonedToolsReply, **fields)
    return create_model("Calls", __base__=ToolsReply, **fields)


def _typed(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    properties = {"name": {"const": name}, "arguments": arguments}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def tool_function(tool: dict[str, Any]) -> dict[str, Any]:
    """Return the function of a tool in OpenAI's fields, wrapped as `{"type": "function", "function": …}` or bare."""
    function: dict[str, Any] = tool.get("function", tool)
    return function
