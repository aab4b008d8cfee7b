"""Drafts: turns are finished one by one, and a model sees answers but never thinking."""

from dataclasses import fields, replace

import pytest

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.intent import Intent, Place
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin, Vote
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.domain.sample import Turn
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome, Status, Verdict


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(outcome=outcome, status=Status.CORRECT, verifier="test")


def candidate(position: int, *outcomes: Outcome) -> Candidate:
    return Candidate(
        position=position,
        mode=Mode.ON,
        model="m",
        answer=f"answer {position}",
        thinking=f"thinking {position}",
        calls=("c",),
        tool_calls=(ToolCall(name="f", arguments={"x": position}),),
        verdicts=tuple(verdict(outcome) for outcome in outcomes),
    )


@pytest.fixture
def draft() -> Draft:
    query = Query(
        messages=(
            Message(role=Role.SYSTEM, content="Be kind."),
            Message(role=Role.USER, content="First?"),
            Message(role=Role.ASSISTANT, content="The source's own answer."),
            Message(role=Role.USER, content="Second?"),
        ),
        category=Category.MULTI_TURN,
        source="made-up",
        licence="MIT",
        reference="2",
        verifier=VerifierSpec(kind=VerifierKind.MATH),
    )
    return Draft(query=query)


def decided(draft: Draft, accepted: int) -> Draft:
    return replace(
        draft,
        choice=ModeChoice(mode=Mode.ON, origin=ModeOrigin.MAJORITY, margin=1.0),
        candidates=(candidate(0, Outcome.INCORRECT), candidate(4, Outcome.CORRECT)),
        accepted=accepted,
        judge_analysis="Because.",
    )


def test_a_new_draft_is_at_the_first_turn(draft: Draft) -> None:
    assert (draft.user_text, draft.is_last_turn, draft.verifiable) == ("First?", False, False)
    assert [m.content for m in draft.conversation] == ["Be kind.", "First?"]


def test_a_finished_turn_takes_along_all_that_is_its_own_and_leaves_all_else(draft: Draft) -> None:
    of_turn = {
        "votes", "choice", "measurement", "candidates", "accepted", "scores", "judge_analysis", "further", "results",
    }  # fmt: skip
    given = {part.name: ("given",) for part in fields(Draft)} | {"query": draft.query, "turns": (), "lineages": ()}
    given["intent"] = Intent(turn=0, mode=Mode.ON, place=Place.FRONT, text="Think.", wording="Think.")
    own = {name: getattr(decided(draft, 4), name) for name in ("choice", "candidates", "accepted", "judge_analysis")}
    full = Draft(**given | own)
    finished = full.finish_turn()
    blank = Draft(query=draft.query)
    assert {part.name for part in fields(Draft) if getattr(finished, part.name) == getattr(blank, part.name)} == {
        "query", *of_turn,
    }  # fmt: skip
    kept = {part.name for part in fields(Draft)} - of_turn - {"turns", "lineages"}
    assert all(getattr(finished, name) == getattr(full, name) for name in kept)


def test_finish_turn_moves_the_accepted_candidate_and_blanks_the_rest(draft: Draft) -> None:
    finished = decided(draft, 4).finish_turn()
    assert finished == Draft(
        query=draft.query,
        lineages=finished.lineages,
        turns=(
            Turn(
                user="First?",
                judge_analysis="Because.",
                mode=Mode.ON,
                thinking="thinking 4",
                answer="answer 4",
                tool_calls=(ToolCall(name="f", arguments={"x": 4}),),
            ),
        ),
    )


def test_the_next_turn_sees_our_answer_not_the_source_s_and_no_thinking(draft: Draft) -> None:
    second = decided(draft, 4).finish_turn()
    assert (second.user_text, second.is_last_turn, second.verifiable) == ("Second?", True, True)
    assert [(m.role, m.content) for m in second.conversation] == [
        (Role.SYSTEM, "Be kind."),
        (Role.USER, "First?"),
        (Role.ASSISTANT, "answer 4"),
        (Role.USER, "Second?"),
    ]


def test_the_sample_needs_every_turn(draft: Draft) -> None:
    with pytest.raises(ValueError, match="turns are missing"):
        draft.sample()
    one = decided(draft, 4).finish_turn()
    with pytest.raises(ValueError, match="turns are missing"):
        one.sample()
    sample = decided(one, 0).finish_turn().sample()
    assert (sample.system, [turn.answer for turn in sample.turns]) == ("Be kind.", ["answer 4", "answer 0"])
    assert sample.mode is Mode.ON


@pytest.mark.parametrize("blank", [{"accepted": None}, {"accepted": 9}, {"choice": None}])
def test_an_unfinished_turn_cannot_be_finished(draft: Draft, blank: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no accepted candidate or no mode"):
        replace(decided(draft, 4), **blank).finish_turn()  # type: ignore[arg-type]


def test_a_turn_without_judge_analysis_has_an_empty_one(draft: Draft) -> None:
    (turn,) = replace(decided(draft, 4), judge_analysis=None).finish_turn().turns
    assert turn.judge_analysis == ""


def test_the_lineage_tells_histories_apart(draft: Draft) -> None:
    full = decided(draft, 4)
    vote = Vote(model="m", mode=Mode.ON, reason="r", call="c")
    paid_again = replace(full.candidates[1], calls=("c", "d"))
    histories = [
        full,
        replace(full, accepted=0),
        replace(full, votes=(vote,)),
        replace(full, judge_analysis="Since."),
        replace(full, candidates=(full.candidates[0], paid_again)),
        replace(full, query=replace(draft.query, tools=({"type": "function"},))),
    ]
    lineages = {history.finish_turn().lineage for history in histories}
    assert len(lineages) == len(histories)
    assert decided(draft, 4).finish_turn().lineage in lineages


def test_a_query_without_verifier_is_never_verifiable(draft: Draft) -> None:
    second = decided(draft, 4).finish_turn()
    assert not replace(second, query=replace(draft.query, verifier=None)).verifiable


def test_the_accepted_candidate_is_found_by_its_position(draft: Draft) -> None:
    full = decided(draft, 0)
    assert full.accepted_candidate is full.candidates[0]
    assert replace(full, accepted=None).accepted_candidate is None


@pytest.mark.parametrize(
    ("outcomes", "last_definite"),
    [
        ((), Outcome.UNDECIDED),
        ((Outcome.UNDECIDED,), Outcome.UNDECIDED),
        ((Outcome.CORRECT, Outcome.UNDECIDED), Outcome.CORRECT),
        ((Outcome.CORRECT, Outcome.INCORRECT), Outcome.INCORRECT),
    ],
)
def test_the_last_definite_verdict_holds(outcomes: tuple[Outcome, ...], last_definite: Outcome) -> None:
    assert candidate(0, *outcomes).outcome is last_definite


@pytest.mark.parametrize(
    ("outcome", "reward"), [(Outcome.CORRECT, 1.0), (Outcome.INCORRECT, 0.0), (Outcome.UNDECIDED, None)]
)
def test_a_reward_follows_from_the_outcome(outcome: Outcome, reward: float | None) -> None:
    assert verdict(outcome).reward == reward


LOOK = ToolCall(name="look", arguments={"order": {"ids": ["1", "2"]}, "n": 2})
TOOLS = ({"name": "look", "parameters": {"type": "object"}},)


def recorded(**fields: object) -> Draft:
    """A recorded conversation: a call, its result, an answer, thanks."""
    messages = (
        Message(role=Role.USER, content="Where?"),
        Message(role=Role.ASSISTANT, content="", tool_calls=(LOOK,)),
        Message(role=Role.TOOL, content="sent"),
        Message(role=Role.ASSISTANT, content="It was sent."),
        Message(role=Role.USER, content="Thanks."),
    )
    query = Query(messages=messages, category=Category.TOOL_USE, source="s", licence="l", tools=TOOLS)
    return Draft(query=replace(query, **fields))  # type: ignore[arg-type]


def answered(draft: Draft, *calls: ToolCall, results: tuple[str, ...] | None = None) -> Draft:
    made = replace(candidate(0, Outcome.CORRECT), tool_calls=calls)
    choice = ModeChoice(mode=Mode.ON, origin=ModeOrigin.MAJORITY)
    return replace(draft, choice=choice, candidates=(made,), accepted=0, judge_analysis="So.", results=results)


def test_results_are_answered_by_a_turn_of_their_own() -> None:
    first = answered(recorded(), LOOK, results=("sent",))
    assert not first.is_last_turn
    second = first.finish_turn()
    assert (second.answers_results, second.user_text, second.is_last_turn) == (True, "Where?", False)
    assert second.conversation == (
        Message(role=Role.USER, content="Where?"),
        Message(role=Role.ASSISTANT, content="answer 0", tool_calls=(LOOK,)),
        Message(role=Role.TOOL, content="sent"),
    )
    assert second.transcript[-1].content == "Result of look:\nsent"
    third = answered(second).finish_turn()
    assert (third.answers_results, third.user_text, third.is_last_turn) == (False, "Thanks.", True)
    with pytest.raises(ValueError, match="turns are missing"):
        third.sample()
    sample = answered(third).finish_turn().sample()
    assert [(turn.user, turn.results) for turn in sample.turns] == [("Where?", ("sent",)), ("", ()), ("Thanks.", ())]


def test_results_at_the_last_message_of_the_user_still_want_an_answer() -> None:
    draft = answered(Draft(query=replace(recorded().query, messages=recorded().query.messages[:1])), LOOK)
    assert draft.is_last_turn
    observed = replace(draft, results=("sent",))
    assert not observed.is_last_turn
    with pytest.raises(ValueError, match="turns are missing"):
        observed.finish_turn().sample()


def test_a_recorded_step_with_calls_is_verified_by_them_and_one_without_by_no_verifier() -> None:
    first = recorded()
    assert first.task.verifier == VerifierSpec(
        kind=VerifierKind.TOOL_CALL,
        options={"possible": [{"look": {"order": [{"ids": [["1", "2"]]}], "n": [2]}}], "ordered": True},
    )
    second = answered(first, LOOK, results=("sent",)).finish_turn()
    assert second.task.verifier is None
    assert not second.verifiable


def test_a_verifier_of_calls_does_not_decide_on_what_is_said_of_their_results() -> None:
    spec = VerifierSpec(kind=VerifierKind.TOOL_CALL, options={"possible": []})
    query = replace(recorded().query, messages=recorded().query.messages[:1], verifier=spec)
    first = Draft(query=query)
    assert first.task == query
    assert not answered(first, LOOK, results=("sent",)).finish_turn().verifiable


def test_a_verifier_of_answers_waits_for_the_answer() -> None:
    query = replace(
        recorded().query, messages=recorded().query.messages[:1], verifier=VerifierSpec(kind=VerifierKind.MATH)
    )
    draft = Draft(query=query)
    assert draft.decides(replace(candidate(0), tool_calls=()))
    assert not draft.decides(candidate(0))


def test_results_are_part_of_the_lineage() -> None:
    lineages = {answered(recorded(), LOOK, results=results).finish_turn().lineage for results in (None, ("a",), ("b",))}
    assert len(lineages) == 3


def test_equipment_serves_a_query_that_has_no_tools_of_its_own() -> None:
    other = ({"name": "run"},)
    assert replace(recorded(), equipment=other).tools == TOOLS
    equipped = Draft(query=replace(recorded().query, tools=()), equipment=other)
    assert answered(equipped, LOOK, results=("x",)).finish_turn().tools == other
