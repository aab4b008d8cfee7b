"""Develop: one step of a coder, with a plan, a reviewer, and the query's own verifier at the end."""

from dataclasses import replace

import pytest

from kat_data.domain.category import Category
from kat_data.domain.drop import DropReason
from kat_data.domain.mode import Mode
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.stages.develop import Develop
from kat_data.stages.environments.workspace import solution_verdict_candidate
from kat_data.stages.observe import Observe
from kat_data.stages.sample_off import SampleOff
from kat_data.stages.verify import VerifyGate
from kat_data.testing import a_candidate, a_query, a_reply

QUERY = a_query(
    "Write add(a, b).",
    reference=None,
    category=Category.CODE,
    verifier=VerifierSpec(kind=VerifierKind.CODE, options={"tests": ["assert add(1, 2) == 3"], "entry": "add"}),
)
SOURCE = "def add(a, b):\n    return a + b"
WRITE = {"name": "write_file", "arguments": {"path": "solution.py", "content": SOURCE}}
PLAN = {"steps": ["Write add.", "Test it."]}
PASSED = {"check": "It adds.", "findings": [], "passed": True}
ANSWER = solution_verdict_candidate(SOURCE, Mode.OFF).answer


def step(*calls, explanation="I write it.", **fields):
    return {"explanation": explanation, "calls": list(calls), **fields}


@pytest.fixture
def begun(chosen):
    def build(mode=Mode.OFF):
        return Develop().prepare(chosen(mode, QUERY), 7)

    return build


@pytest.fixture
def written(begun):
    """The second step: the solution is written, and the call has its result."""
    candidate = a_candidate("I write.", tool_calls=(ToolCall(**WRITE),))
    draft = replace(begun(), candidates=(candidate,), accepted=0, results=("wrote solution.py: 2 lines",))
    return replace(draft.finish_turn(), choice=draft.choice)


def cast(play, **fields):
    return {role: play.model(role, **fields) for role in ("planner", "coder", "reviewer")}


def verdict(outcome: Outcome) -> Verdict:
    status = {Outcome.CORRECT: Status.PASSED, Outcome.INCORRECT: Status.FAILED}[outcome]
    return Verdict(outcome=outcome, status=status, verifier="code/2")


async def test_a_step_is_explained_before_its_calls_and_knows_the_plan(player, begun, tools):
    play = player(plan=[PLAN], calls=[step(WRITE)])
    draft = await Develop().run(begun(), tools(**cast(play)))
    [candidate] = draft.candidates
    assert (candidate.answer, candidate.tool_calls) == ("I write it.", (ToolCall(**WRITE),))
    assert [r.role for r in candidate.rounds] == ["planner", "coder"]
    assert (candidate.verdicts[0].status, candidate.verdicts[0].reward) == (Status.ENDORSED, None)
    system = play.requests[1][1].messages[0].content
    assert "1. Write add.\n2. Test it." in system
    assert "must define add" in system
    assert (await VerifyGate().run(draft, tools())).accepted == 0


async def test_think_on_steps_keep_their_thinking(player, begun, tools):
    play = player(plan=[PLAN], calls=[step(WRITE, thinking="Plain addition.")])
    [candidate] = (await Develop().run(begun(Mode.ON), tools(**cast(play)))).candidates
    assert candidate.thinking == "Plain addition."


async def test_a_native_coder_gets_tools_and_its_reasoning_is_the_thinking(player, begun, tools):
    reply = a_reply("I write it.", reasoning="Plain addition.", tool_calls=(ToolCall(**WRITE),))
    play = player(plan=[PLAN], chat=[reply])
    [candidate] = (
        await Develop().run(begun(Mode.ON), tools(**cast(play, native_tools=True, native_reasoning=True)))
    ).candidates
    assert (candidate.thinking, candidate.tool_calls) == ("Plain addition.", (ToolCall(**WRITE),))
    assert play.requests[1][1].tools


@pytest.mark.parametrize(
    ("bad", "finding"),
    [
        (step(explanation="All done."), "There is no solution.py yet"),
        (step({"name": "write_file", "arguments": {"path": "x"}}), "write_file: the argument content is missing"),
        (step({"name": "read_file", "arguments": {"path": "/etc/passwd"}}), "the path must lie within"),
    ],
)
async def test_a_step_in_vain_is_taken_again_with_the_finding(player, begun, tools, bad, finding):
    play = player(plan=[PLAN], calls=[bad, step(WRITE)])
    first, second = (await Develop().run(begun(), tools(**cast(play)))).candidates
    assert (first.outcome, first.verdicts[0].reward) == (Outcome.INCORRECT, None)
    assert second.outcome is Outcome.CORRECT
    assert finding in play.requests[2][1].messages[0].content


async def test_the_same_calls_twice_are_no_step(player, written, tools):
    play = player(plan=[PLAN], calls=[step(WRITE)] * 3)
    draft = await Develop().run(written, tools(**cast(play)))
    assert {c.outcome for c in draft.candidates} == {Outcome.INCORRECT}
    dropped = await VerifyGate().run(draft, tools())
    assert dropped.reason is DropReason.UNDEVELOPED


async def test_an_answer_needs_passing_tests_and_a_content_reviewer(player, written, tools):
    objection = {"check": "It is fixed to the test.", "findings": ["Negative numbers fail."], "passed": False}
    play = player(
        plan=[PLAN], calls=[step(explanation="Done."), step(explanation="It adds.")], critic=[objection, PASSED]
    )
    given = tools(verdicts={ANSWER: verdict(Outcome.CORRECT)}, **cast(play))
    first, second = (await Develop().run(written, given)).candidates
    assert first.verdicts[-1].status is Status.OBJECTED
    assert [r.role for r in second.rounds] == ["planner", "coder", "reviewer"]
    assert (second.verdicts[-1].status, second.verdicts[-1].reward) == (Status.PASSED, 1.0)
    asked = [request for kind, request in play.requests if kind == "calls"]
    assert "Negative numbers fail." in asked[1].messages[0].content
    assert "Result of write_file:\nwrote solution.py: 2 lines" in asked[0].messages[-1].content
    assert SOURCE in play.sent("critic")[0]


async def test_failing_tests_are_told_and_the_reviewer_is_not_asked(player, written, tools):
    play = player(plan=[PLAN], calls=[step(explanation="Done.")])
    given = tools(verdicts={ANSWER: verdict(Outcome.INCORRECT)}, **cast(play))
    draft = await Develop(rounds=1).run(written, given)
    assert draft.candidates[0].verdicts[-1].reward == 0.0
    assert (await VerifyGate().run(draft, tools())).reason is DropReason.UNDEVELOPED


async def test_without_a_sandbox_the_drop_says_so_and_no_further_try_is_paid(player, written, tools):
    play = player(plan=[PLAN], calls=[step(explanation="Done.")])
    draft = await Develop().run(written, tools(verdicts={ANSWER: None}, **cast(play)))
    assert len(draft.candidates) == 1
    assert (await VerifyGate().run(draft, tools())).reason is DropReason.NO_SANDBOX


async def test_without_a_plan_nothing_is_written(player, begun, tools):
    play = player(plan=["no", "no"])
    assert (await Develop().run(begun(), tools(**cast(play)))).reason is DropReason.NO_PLAN


async def test_an_unreadable_step_is_a_faulty_candidate(player, begun, tools):
    play = player(plan=[PLAN], calls=["no", "no", step(WRITE)])
    first, second = (await Develop().run(begun(), tools(**cast(play)))).candidates
    assert (first.fault, second.outcome) == ("reply_malformed", Outcome.CORRECT)


def test_an_equipped_draft_is_developed_and_not_sampled(begun) -> None:
    assert Develop().applies(begun())
    assert not SampleOff().applies(begun())
    assert not Develop().applies(replace(begun(), equipment=()))
    assert SampleOff().applies(replace(begun(), equipment=()))
    assert not Observe().applies(begun())
