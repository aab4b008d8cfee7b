"""Histories: recorded steps, what is wrong with them, and conversations as text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kat_data.domain.history import Step, as_text, history_flaw, is_recorded, steps
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.testing import a_conversation

FIND = ToolCall(name="find", arguments={"email": "a@b.c"})
LOOK = ToolCall(name="look", arguments={"order": "#1"})


def said(role: Role, content: str = "", *calls: ToolCall) -> Message:
    return Message(role=role, content=content, tool_calls=calls)


RECORDED = (
    said(Role.SYSTEM, "Policy."),
    said(Role.ASSISTANT, "Welcome."),
    said(Role.USER, "Where is my order?"),
    said(Role.ASSISTANT, "", FIND),
    said(Role.TOOL, "anna"),
    said(Role.ASSISTANT, "Found you.", LOOK),
    said(Role.ASSISTANT, "And more.", FIND),
    said(Role.TOOL, "sent"),
    said(Role.TOOL, "anna"),
    said(Role.ASSISTANT, "It was sent."),
    said(Role.USER, "Thanks."),
)


def test_the_steps_of_a_recorded_conversation() -> None:
    assert steps(RECORDED) == (
        Step(user="Where is my order?", tool_calls=(FIND,), results=("anna",), answered=True),
        Step(
            user="", answer="Found you.\n\nAnd more.", tool_calls=(LOOK, FIND), results=("sent", "anna"), answered=True
        ),
        Step(user="", answer="It was sent.", answered=True),
        Step(user="Thanks."),
    )
    assert history_flaw(RECORDED) is None
    assert is_recorded(RECORDED)
    assert not is_recorded(RECORDED[:4])


roles = st.lists(st.sampled_from([Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL]), max_size=8)


@given(roles, st.data())
def test_a_history_without_flaw_has_a_step_for_all_that_was_said(roles: list[Role], data: st.DataObject) -> None:
    messages = tuple(
        said(role, str(n), *[FIND] * (data.draw(st.integers(0, 2)) if role is Role.ASSISTANT else 0))
        for n, role in enumerate(roles)
    )
    if history_flaw(messages) is not None:
        return
    found = steps(messages)
    assert [step.user for step in found if step.user] == [m.content for m in messages if m.role is Role.USER]
    assert [r for step in found for r in step.results] == [m.content for m in messages if m.role is Role.TOOL]
    assert all(len(step.results) in (0, len(step.tool_calls)) for step in found)
    for before, step in pairwise(found):
        assert bool(step.user) or bool(before.results)


@pytest.mark.parametrize(
    ("messages", "flaw"),
    [
        ((said(Role.TOOL),), "message 1 is the result of no call that the conversation holds"),
        ((*RECORDED[:3], said(Role.ASSISTANT, "None"), said(Role.TOOL, "x")), "message 5 is the result of no call"),
        ((*RECORDED[:5], said(Role.TOOL, "x")), "message 6 is the result of no call"),
        ((*RECORDED[:8], said(Role.USER, "?")), "before message 9, 2 calls have 1 results"),
        (RECORDED[:8], "at the end, 2 calls have 1 results"),
        ((said(Role.ASSISTANT, "", FIND), said(Role.TOOL, "x")), "message 1 calls tools before the user spoke"),
    ],
)
def test_a_history_with_a_flaw_says_where(messages: tuple[Message, ...], flaw: str) -> None:
    assert (history_flaw(messages) or "").startswith(flaw)


def test_calls_that_nobody_went_on_from_are_no_flaw() -> None:
    assert history_flaw(RECORDED[:4]) is None
    assert history_flaw((*RECORDED[:4], said(Role.USER, "Hello?"))) is None


def test_a_conversation_as_text_names_calls_and_joins_results() -> None:
    text = as_text(RECORDED, speaker=Role.USER)
    assert [(m.role, m.content) for m in text[3:5]] == [
        (Role.ASSISTANT, '\nCalls:\nfind({"email":"a@b.c"})'),
        (Role.USER, "Result of find:\nanna"),
    ]
    # Calls made together are one answer's in the steps; as text each message keeps its own.
    assert text[-3].content.endswith("anna")
    assert as_text(RECORDED[:5])[-1].role is Role.TOOL


def test_a_conversation_without_calls_is_its_own_text() -> None:
    plain = a_conversation("Hi", "Hello", "And?", system="Be brief.")
    assert as_text(plain) == plain
