"""Rollouts: how a policy is asked, and how loosely its reply is read."""

from dataclasses import replace

import pytest

from kat_data.domain.mode import Mode
from kat_data.domain.pass_rate import RolloutMode
from kat_data.domain.query import Role
from kat_data.domain.sample import Turn
from kat_data.domain.template import render
from kat_data.domain.verdict import Outcome
from kat_data.stages.parts.rollout import at_last_turn, read_turn, roll_out
from kat_data.testing import a_conversation, a_draft, a_query, a_reply


@pytest.mark.parametrize(
    ("text", "mode", "thinking", "answer"),
    [
        ("<think_on>\n<think>\nhm\n</think>\n<answer>\n42\n</answer>", Mode.ON, "hm", "42"),
        ("<judge>\nEasy.\n</judge>\n\n<think_off>\n<answer>\n42\n</answer>", Mode.OFF, "", "42"),
        ("<think_off>\n42", Mode.OFF, "", "42"),
        ("<think>\nhm\n</think>\n\n42", Mode.ON, "hm", "42"),
        ("hm\n</think>\n<answer>42</answer> bye", Mode.ON, "hm", "42"),
        ("<think_on>\n<think>\nhm, hm", Mode.ON, "hm, hm", ""),
        ("<think_off>\n<answer>\n42", Mode.OFF, "", "42"),
        ("42", None, "", "42"),
        ("", None, "", ""),
    ],
)
def test_a_reply_is_read_as_far_as_it_keeps_to_the_template(text, mode, thinking, answer):
    found, thought, said = read_turn(text)
    assert (found, thought.strip(), said.strip()) == (mode, thinking, answer)


def test_reasoning_that_the_endpoint_sets_apart_is_thinking():
    assert read_turn("42", "hm") == (Mode.ON, "hm", "42")
    assert read_turn("<think_off>\n42", " ")[0] is Mode.OFF


@pytest.mark.parametrize("mode", Mode)
def test_what_the_template_writes_is_read_as_it_was(mode):
    thinking = "6 * 7\n= 42" if mode is Mode.ON else ""
    turn = Turn(user="?", judge_analysis="So.", mode=mode, thinking=thinking, answer=r"\boxed{42}")
    found, thought, said = read_turn(render(turn))
    assert (found, thought.strip(), said.strip()) == (mode, thinking, r"\boxed{42}")


def test_a_conversation_is_asked_at_its_last_turn_with_the_sources_own_answers():
    draft = at_last_turn(a_draft(a_query("One?", "Yes.", "Two?", system="Be brief.")))
    assert draft.verifiable
    assert [(m.role, m.content) for m in draft.conversation] == [
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "One?"),
        (Role.ASSISTANT, "Yes."),
        (Role.USER, "Two?"),
    ]


def test_a_conversation_without_the_sources_answers_has_no_last_turn():
    messages = (*a_conversation("One?"), *a_conversation("Two?"))
    assert at_last_turn(a_draft(replace(a_query(), messages=messages))) is None


async def rolled(tools, player, reply, *, draft=None, mode=RolloutMode.AUTO, prompted=False, verdicts=None, **model):
    script = player(chat=[reply], calls=[reply])
    verify = tools({"42": Outcome.CORRECT, "": Outcome.UNDECIDED} if verdicts is None else verdicts).verify
    policy = script.model("policy", **model)
    rollout = await roll_out(draft or a_draft(), policy, verify, mode=mode, prompted=prompted, position=3)
    [(_, request)] = script.requests
    return rollout, request


async def test_in_auto_the_conversation_stands_alone_and_the_mode_is_the_policys(tools, player):
    reply = a_reply("<think_off>\n<answer>\n42\n</answer>", completion_tokens=17)
    rollout, request = await rolled(tools, player, reply)
    assert [m.content for m in request.messages] == ["What is 6 * 7?"]
    assert request.sample == 3
    assert (rollout.mode, rollout.outcome, rollout.tokens) == (Mode.OFF, Outcome.CORRECT, 17)
    assert rollout.call == request.key.hex()


async def test_in_a_mode_the_message_ends_with_the_trigger(tools, player):
    _, request = await rolled(tools, player, "<answer>42</answer>", mode=RolloutMode.OFF)
    assert [m.content for m in request.messages] == ["What is 6 * 7?\n<think_off>"]


async def test_prompted_in_a_mode_it_is_the_call_of_the_sampling_stages(tools, player):
    rollout, request = await rolled(tools, player, "42", mode=RolloutMode.OFF, prompted=True)
    assert "directly and briefly" in request.messages[0].content
    assert rollout.mode is Mode.OFF


async def test_prompted_in_auto_it_is_asked_for_a_form_and_may_choose(tools, player):
    rollout, request = await rolled(tools, player, "<think_on><think>hm</think>42", prompted=True)
    assert r"\boxed{answer}" in request.messages[0].content
    assert "briefly" not in request.messages[0].content
    assert rollout.mode is Mode.ON


async def test_a_cut_reply_is_undecided_spends_its_limit_and_is_not_asked_for_again(tools, player, cut):
    script = player(chat=[cut, "42"])
    policy = script.model("policy", attempts=3)
    rollout = await roll_out(a_draft(), policy, tools({}).verify, mode=RolloutMode.ON, prompted=False, position=0)
    assert (rollout.mode, rollout.outcome, rollout.status) == (Mode.ON, Outcome.UNDECIDED, "reply_cut")
    assert rollout.tokens == policy.sampling.max_tokens
    assert script.kinds == ["chat"]


async def test_thinking_that_never_ends_is_no_answer(tools, player):
    rollout, _ = await rolled(tools, player, "<think_on>\n<think>\nso 42", verdicts={"": Outcome.UNDECIDED})
    assert (rollout.mode, rollout.outcome, rollout.status) == (Mode.ON, Outcome.UNDECIDED, "unparsable")


async def test_tools_without_native_calls_are_asked_for_by_schema(tools, player):
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    draft = a_draft(a_query(tools=(tool,)))
    reply = {"explanation": "42", "calls": []}
    rollout, request = await rolled(tools, player, reply, draft=draft)
    assert request.schema is not None
    assert (rollout.mode, rollout.outcome) == (None, Outcome.CORRECT)
