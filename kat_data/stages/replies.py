"""What models are asked to reply, as records whose JSON Schemas go with the request.

Fields stand in the order in which a model should write them: reasons before decisions. Length bounds stand in the
schema alone, where they keep small models from rambling; a longer text is no reason to refuse a reply.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from kat_data.domain.candidate import ToolCall

Brief = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 160})]
Short = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 300})]
Findings = Annotated[
    tuple[str, ...],
    WithJsonSchema({"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 160}}),
]


class ReplyRecord(BaseModel):
    """A reply's fields; the schema forbids others, reading ignores them."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False})


class TagReply(ReplyRecord):
    """One model's labels for a query."""

    steps: Brief
    difficulty: int = Field(ge=1, le=10)
    domain: Annotated[str, WithJsonSchema({"type": "string", "maxLength": 40})]
    verifiable: bool


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


class CompareReply(ReplyRecord):
    """Whether an answer states the same result as the reference."""

    reason: Brief
    equivalent: bool


class JudgeReply(ReplyRecord):
    """Why the mode suits the message."""

    analysis: Short


class ToolsReply(ReplyRecord):
    """An explanation to the user, then the calls; `thinking` only where the model is asked for it."""

    thinking: str = ""
    explanation: Short
    calls: tuple[Any, ...]

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(name=call.name, arguments=call.arguments) for call in self.calls)


def tools_reply(tools: tuple[dict[str, Any], ...], *, thinking: bool) -> type[ToolsReply]:
    """Return the reply record for `tools`, whose calls can name no other tool."""
    names = tuple(tool_function(tool)["name"] for tool in tools)
    call = create_model("Call", __base__=ReplyRecord, name=(Literal[names], ...), arguments=(dict[str, Any], ...))
    calls = Annotated[tuple[call, ...], Field(json_schema_extra={"maxItems": 16})]  # type: ignore[valid-type]
    if thinking:
        return create_model(
            "ReasonedCalls", __base__=ToolsReply, thinking=(str, ...), explanation=(Short, ...), calls=(calls, ...)
        )
    return create_model("Calls", __base__=_Unreasoned, calls=(calls, ...))


class _Unreasoned(ToolsReply):
    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core_schema)
        handler.resolve_ref_schema(schema)["properties"].pop("thinking")
        return schema


def tool_function(tool: dict[str, Any]) -> dict[str, Any]:
    """Return the function of a tool in OpenAI's fields, whether wrapped as `{"type": "function", "function".

    …}` or bare.
    """
    function: dict[str, Any] = tool.get("function", tool)
    return function
