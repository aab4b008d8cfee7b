import pytest
from pydantic import ValidationError

from kat_data.stages.environments.workspace import WORKSPACE_TOOLS
from kat_data.stages.parts.replies import (
    CriticReply,
    JudgeReply,
    PanelReply,
    ReplyRecord,
    TagReply,
    VoteReply,
    tools_reply,
)

TOOLS = (
    {"type": "function", "function": {"name": "get_weather", "parameters": {}}},
    {"name": "stock.price", "parameters": {}},
)


@pytest.mark.parametrize("reasoned", [True, False])
def test_calls_can_name_no_tool_but_those_at_hand(reasoned):
    schema = tools_reply(TOOLS, reasoned=reasoned)
    fields = {"thinking": "Hm.", "explanation": "I ask for it."}
    reply = schema.model_validate(fields | {"calls": [{"name": "stock.price", "arguments": {"ticker": "X"}}]})
    assert [(call.name, call.arguments) for call in reply.calls] == [("stock.price", {"ticker": "X"})]
    assert reply.thinking == ("Hm." if reasoned else "")
    with pytest.raises(ValidationError):
        schema.model_validate(fields | {"calls": [{"name": "rm", "arguments": {}}]})


def test_models_write_reasons_before_decisions():
    orders = {
        schema: list(schema.model_json_schema()["properties"])
        for schema in (VoteReply, PanelReply, CriticReply, tools_reply(TOOLS, reasoned=True))
    }
    assert orders[VoteReply] == ["reason", "mode"]
    assert orders[PanelReply] == ["reason", "score", "good"]
    assert orders[CriticReply] == ["check", "findings", "passed"]
    assert [*orders.values()][-1] == ["thinking", "explanation", "calls"]


def test_a_text_over_its_bound_is_read_nevertheless():
    assert JudgeReply.model_json_schema()["properties"]["analysis"]["maxLength"] == 300
    assert len(JudgeReply(analysis="x" * 400).analysis) == 400


@pytest.mark.parametrize("difficulty", [0, 11])
def test_a_difficulty_off_the_scale_is_refused(difficulty):
    with pytest.raises(ValidationError):
        TagReply(steps="-", difficulty=difficulty, domain="-", verifiable=True)


def test_editing_a_docstring_does_not_change_what_a_call_is():
    class Before(ReplyRecord):
        """One."""

        good: bool

    class After(ReplyRecord):
        """Two."""

        good: bool

    assert Before.model_json_schema() == After.model_json_schema()
    assert Before.model_json_schema() == {
        "type": "object",
        "properties": {"good": {"type": "boolean"}},
        "required": ["good"],
        "additionalProperties": False,
    }


def test_typed_calls_bring_the_schemas_of_their_arguments():
    schema = tools_reply(WORKSPACE_TOOLS, reasoned=False, may_answer=True, typed=True)
    assert list(schema.model_json_schema()["properties"]) == ["explanation", "calls"]
    listed = schema.model_json_schema()["properties"]["calls"]
    assert listed["maxItems"] == 16
    for tool, item in zip(WORKSPACE_TOOLS, listed["items"]["anyOf"], strict=True):
        assert item["properties"]["name"] == {"const": tool["function"]["name"]}
        assert item["properties"]["arguments"] == tool["function"]["parameters"]
    reply = schema.model_validate({"explanation": "So.", "calls": [{"name": "run_tests", "arguments": {}}]})
    assert reply.calls[0].name == "run_tests"


def test_an_explanation_that_may_answer_may_be_longer():
    bounds = [
        tools_reply(TOOLS, reasoned=False, may_answer=may).model_json_schema()["properties"]["explanation"]["maxLength"]
        for may in (False, True)
    ]
    assert bounds == [300, 1200]
