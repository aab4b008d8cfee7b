"""Observe: the results of an accepted answer's calls, and the walk along a recorded conversation."""

from dataclasses import replace

import pytest

from kat_data.domain.category import Category
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Query, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.stages.observe import Observe
from kat_data.testing import a_candidate, a_draft, a_verdict

FIND = ToolCall(name="find", arguments={"email": "a@b.c"})
TOOLS = ({"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}},)


def recorded(result: str = " anna\n", *after: Message) -> Query:
    messages = (
        Message(role=Role.USER, content="Who am I?"),
        Message(role=Role.ASSISTANT, content="", tool_calls=(FIND,)),
        Message(role=Role.TOOL, content=result),
        *(after or (Message(role=Role.ASSISTANT, content="Anna."),)),
    )
    return Query(messages=messages, category=Category.TOOL_USE, source="s", licence="l", tools=TOOLS)


@pytest.fixture
def accepted(chosen):
    def build(query: Query, *calls: ToolCall):
        candidate = a_candidate("I look.", tool_calls=calls, verdicts=(a_verdict(),))
        return chosen(Mode.OFF, query, candidates=(candidate,), accepted=0)

    return build


async def test_an_accepted_step_gets_the_recorded_results_normalised(accepted, tools):
    draft = accepted(recorded(), FIND)
    assert Observe().applies(draft)
    assert (await Observe().run(draft, tools())).results == ("anna",)


async def test_it_applies_once_and_to_calls_alone(accepted):
    assert not Observe().applies(accepted(recorded()))
    assert not Observe().applies(replace(accepted(recorded(), FIND), accepted=None))
    assert not Observe().applies(replace(accepted(recorded(), FIND), results=("anna",)))
    assert not Observe(only=(Category.MATH,)).applies(accepted(recorded(), FIND))


async def test_results_that_end_the_record_or_that_the_user_speaks_after_are_answered_by_nobody(accepted):
    cut = replace(recorded(), messages=recorded().messages[:3])
    assert not Observe().applies(accepted(cut, FIND))
    assert not Observe().applies(accepted(recorded("anna", Message(role=Role.USER, content="Hello?")), FIND))


async def test_a_query_without_environment_is_left_alone(accepted):
    query = replace(recorded(), messages=recorded().messages[:1])
    assert not Observe().applies(accepted(query, FIND))


async def test_a_result_that_the_template_cannot_hold_drops_the_query(accepted, tools):
    dropped = await Observe().run(accepted(recorded("<think>"), FIND), tools())
    assert dropped == Dropped(reason=DropReason.NOT_RENDERABLE, detail="a tool's result holds the reserved tag <think>")


def test_a_query_whose_calls_are_observed_brings_one_sample():
    plain = a_draft(replace(recorded(), messages=recorded().messages[:1]), responses=3)
    assert (Observe().prepare(plain, 7).wanted, Observe(emulate=True).prepare(plain, 7).wanted) == (3, 1)
    assert Observe(emulate=True, only=(Category.CODE,)).prepare(plain, 7).wanted == 3
    observed = Observe().prepare(a_draft(recorded(), responses=3), 7)
    assert observed.observed
    assert observed.wanted == 1


def refused(query: Query) -> Dropped | None:
    return Observe().refuse(a_draft(query))


def test_a_history_that_cannot_be_walked_is_refused_with_its_flaw():
    assert refused(recorded()) is None
    assert refused(replace(recorded(), messages=recorded().messages[:1], tools=())) is None
    headless = replace(recorded(), messages=(recorded().messages[0], *recorded().messages[2:]))
    assert refused(headless) == Dropped(
        reason=DropReason.MALFORMED_HISTORY, detail="message 2 is the result of no call that the conversation holds"
    )
    assert refused(replace(recorded(), tools=())) == Dropped(
        reason=DropReason.HISTORY_WITHOUT_TOOLS, detail="import it with --tools FILE"
    )
