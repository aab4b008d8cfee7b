"""Emulated tools: results by a model, errors by the schema, and the whole conversation before the panel."""

import json
from dataclasses import replace

import pytest

from kat_data.domain.category import Category
from kat_data.domain.drop import DropReason
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome
from kat_data.stages.environments.emulation import known
from kat_data.stages.observe import Observe
from kat_data.testing import a_candidate, a_draft, a_verdict

PARAMETERS = {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]}
TOOLS = ({"type": "function", "function": {"name": "find", "parameters": PARAMETERS}},)
FIND, BAD = ToolCall(name="find", arguments={"email": "a@b.c"}), ToolCall(name="find", arguments={})
QUERY = Query(
    messages=(Message(role=Role.USER, content="Who am I?"),),
    category=Category.TOOL_USE,
    source="s",
    licence="l",
    tools=TOOLS,
)
EMULATE = Observe(emulate=True)


@pytest.fixture
def accepted(chosen):
    def build(query: Query = QUERY, *calls: ToolCall, turns=()):
        candidate = a_candidate("I look.", tool_calls=calls, verdicts=(a_verdict(),))
        return chosen(Mode.OFF, query, candidates=(candidate,), accepted=0, turns=turns, judge_analysis="So.")

    return build


async def test_a_model_gives_each_result_in_sight_of_those_before(player, accepted, tools):
    play = player(result=[{"result": {"id": "anna"}}, {"result": {"id": "anna"}}])
    draft = await EMULATE.run(accepted(QUERY, FIND, FIND), tools(environment=play.model()))
    assert draft.results == ('{"id":"anna"}',) * 2
    first, second = play.sent("result")
    assert "Result of find" not in first
    assert 'Result of find:\n{"id":"anna"}' in second
    assert second.endswith('find({"email":"a@b.c"})')


async def test_a_call_that_the_schema_refuses_gets_an_error_and_costs_nothing(player, accepted, tools):
    play = player()
    draft = await EMULATE.run(accepted(QUERY, BAD), tools(environment=play.model()))
    assert draft.results == ('{"error":"find: the argument email is missing"}',)
    assert play.requests == []


async def test_results_of_the_source_are_told_to_the_model(player, accepted, tools):
    held = replace(QUERY, messages=(*QUERY.messages, Message(role=Role.TOOL, content="anna_7")))
    assert EMULATE.refuse(a_draft(held)) is None
    dropped = Observe().refuse(a_draft(held))
    assert dropped is not None
    assert dropped.reason is DropReason.MALFORMED_HISTORY
    play = player(result=[{"result": {"id": "anna_7"}}])
    await EMULATE.run(accepted(held, FIND), tools(environment=play.model()))
    assert "anna_7" in play.requests[0][1].messages[0].content


def test_the_reference_is_hidden_state_where_no_verifier_needs_it() -> None:
    spec = VerifierSpec(kind=VerifierKind.MATH)
    assert known(a_draft(replace(QUERY, reference="Anna owes 7 euros."))) == "Anna owes 7 euros."
    assert known(a_draft(replace(QUERY, reference="7", verifier=spec))) == ""


async def test_a_result_that_nobody_gives_drops_the_query(player, accepted, tools):
    dropped = await EMULATE.run(accepted(QUERY, FIND), tools(environment=player(result=["no", "no"]).model()))
    assert dropped.reason is DropReason.NO_RESULT


async def test_a_trajectory_ends_at_the_step_limit(accepted, tools):
    turn = replace(accepted(QUERY, FIND), results=("x",)).finish_turn().turns[0]
    draft = accepted(QUERY, FIND, turns=(turn, replace(turn, user="")))
    dropped = await Observe(emulate=True, steps=2).run(draft, tools())
    assert dropped.reason is DropReason.STEP_LIMIT


@pytest.mark.parametrize("good", [True, False])
async def test_the_panel_judges_the_whole_conversation_once(player, accepted, tools, good):
    turn = replace(accepted(QUERY, FIND), results=('{"id":"anna"}',)).finish_turn().turns[0]
    last = accepted(QUERY, turns=(turn,))
    assert EMULATE.applies(last)
    assert not Observe().applies(last)
    assert not EMULATE.applies(accepted(QUERY))
    play = player(panel=[{"reason": "no fault", "score": 5, "good": good}])
    found = await EMULATE.run(last, tools(panel=play.model()))
    assert 'Result of find:\n{"id":"anna"}' in play.sent("panel")[0]
    if good:
        assert found.candidates[0].verdicts[-1].outcome is Outcome.CORRECT
        assert not EMULATE.applies(found)
    else:
        assert found.reason is DropReason.TRAJECTORY_REJECTED
        assert json.loads(json.dumps(found.draft.candidates[0].verdicts[-1].evidence))["votes"]


def test_only_emulation_needs_roles() -> None:
    assert (Observe().needed_roles(), EMULATE.needed_roles()) == ((), ("environment", "panel"))
