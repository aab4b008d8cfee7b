from dataclasses import replace

import pytest

from kat_data.domain.category import Category
from kat_data.domain.draft import Further
from kat_data.domain.drop import DropReason
from kat_data.domain.mode import Mode
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.verdict import Outcome, Status
from kat_data.stages.parts.assessing import CRITIC, PANEL
from kat_data.stages.verify import VerifyGate
from kat_data.testing import a_candidate, a_query, a_verdict

CORRECT, INCORRECT, UNDECIDED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNDECIDED
CODE = a_query("Write f.", category=Category.CODE, verifier=VerifierSpec(kind=VerifierKind.CODE))
CHAT = a_query("Thank her.", reference=None, category=Category.GENERAL)


def sampled(*outcomes, verifier="test", **fields):
    return tuple(
        a_candidate(str(position), position=position, verdicts=(a_verdict(outcome, verifier=verifier),), **fields)
        for position, outcome in enumerate(outcomes)
    )


async def test_the_first_correct_candidate_is_accepted(tools, chosen):
    draft = chosen(Mode.OFF, candidates=sampled(INCORRECT, CORRECT, CORRECT))
    assert (await VerifyGate().run(draft, tools())).accepted == 1


async def test_candidates_without_verdict_get_one(tools, chosen):
    draft = chosen(Mode.OFF, candidates=(a_candidate("41"), a_candidate("42", position=1)))
    gated = await VerifyGate().run(draft, tools({"41": INCORRECT, "42": CORRECT}))
    assert gated.accepted == 1
    assert [c.outcome for c in gated.candidates] == [INCORRECT, CORRECT]


async def test_a_candidate_that_the_template_cannot_hold_gives_way_to_the_next(tools, chosen):
    tagged = a_candidate("<answer>", verdicts=(a_verdict(),))
    draft = chosen(Mode.OFF, candidates=(tagged, a_candidate("42", position=1, verdicts=(a_verdict(),))))
    assert (await VerifyGate().run(draft, tools())).accepted == 1


@pytest.mark.parametrize(
    ("candidate", "detail"),
    [
        (a_candidate("<think>"), "answer: holds the reserved tag <think>"),
        (a_candidate("42", mode=Mode.ON), "thinking: is empty"),
        (a_candidate("42", thinking="</judge>"), "thinking: holds the reserved tag </judge>"),
    ],
)
async def test_with_no_other_the_query_is_not_renderable(tools, chosen, candidate, detail):
    verified = a_candidate(candidate.answer, mode=candidate.mode, thinking=candidate.thinking, verdicts=(a_verdict(),))
    dropped = await VerifyGate().run(chosen(candidate.mode, candidates=(verified,)), tools())
    assert (dropped.reason, dropped.detail) == (DropReason.NOT_RENDERABLE, detail)


NOT_VERIFIED = a_verdict(UNDECIDED, Status.NOT_VERIFIED)
INVALID = replace(NOT_VERIFIED, evidence={"why": "invalid_task", "reason": "no tests"})


@pytest.mark.parametrize(
    ("query", "candidates", "reason", "detail"),
    [
        (None, (), DropReason.NO_CANDIDATE, ""),
        (None, (a_candidate("", fault="reply_cut"),) * 2, DropReason.REPLY_CUT, "2 reply_cut"),
        (
            None,
            (a_candidate("", fault="reply_cut"), a_candidate("", fault="reply_malformed")),
            DropReason.NO_CANDIDATE,
            "1 reply_cut, 1 reply_malformed",
        ),
        (
            None,
            (*sampled(INCORRECT, UNDECIDED), a_candidate("", fault="reply_cut")),
            DropReason.WRONG_ANSWER,
            "1 incorrect, 1 undecided, 1 reply_cut",
        ),
        (None, sampled(UNDECIDED, UNDECIDED), DropReason.UNDECIDED, "2 undecided"),
        (None, (a_candidate("42", verdicts=(NOT_VERIFIED,)),), DropReason.UNDECIDED, "1 undecided"),
        (CODE, (a_candidate("42", verdicts=(NOT_VERIFIED,)),), DropReason.NO_SANDBOX, "1 undecided"),
        (CODE, (a_candidate("42", verdicts=(INVALID,)),), DropReason.INVALID_TASK, "1 undecided"),
        (CHAT, sampled(INCORRECT, verifier=PANEL), DropReason.PANEL_REJECTED, "1 incorrect"),
        (CHAT, sampled(UNDECIDED, verifier=PANEL), DropReason.PANEL_REJECTED, "1 undecided"),
        (CHAT, sampled(INCORRECT, verifier=CRITIC), DropReason.CRITIC_REJECTED, "1 incorrect"),
        (CHAT, (a_candidate("42"),), DropReason.UNDECIDED, "1 undecided"),
    ],
)
async def test_every_drop_has_its_cause_and_keeps_what_was_paid_for(tools, chosen, query, candidates, reason, detail):
    dropped = await VerifyGate().run(chosen(Mode.OFF, query, candidates=candidates), tools())
    assert (dropped.reason, dropped.detail) == (reason, detail)
    assert dropped.draft.candidates == candidates


async def test_code_without_a_sandbox_is_never_passed(tools, chosen):
    dropped = await VerifyGate().run(chosen(Mode.OFF, CODE, candidates=(a_candidate("42"),)), tools({"42": None}))
    assert dropped.reason is DropReason.NO_SANDBOX


@pytest.mark.parametrize(("same", "accepted"), [(True, 0), (False, None)])
async def test_models_compare_what_the_verifier_could_not_read(tools, player, chosen, same, accepted):
    decoy = [{"reason": "-", "same": False}] if same else []
    judge = player(compare=[{"reason": "-", "same": same}] * 2 + decoy)
    draft = chosen(Mode.OFF, a_query("Six sevens?", reference="42"), candidates=sampled(UNDECIDED))
    result = await VerifyGate(compare=True).run(draft, tools(judge=judge.model()))
    assert getattr(result, "accepted", None) == accepted
    [candidate] = (result.draft or result if accepted is None else result).candidates
    assert [verdict.verifier for verdict in candidate.verdicts] == ["test", "model_judge/1"]
    assert [verdict.reward for verdict in candidate.verdicts] == [None, None]
    assert "42" in judge.sent("compare")[0]


@pytest.mark.parametrize("outcome", [INCORRECT, CORRECT])
async def test_models_never_overrule_a_verifier_that_decided(tools, chosen, outcome):
    draft = chosen(Mode.OFF, candidates=sampled(outcome))
    result = await VerifyGate(compare=True).run(draft, tools())
    assert getattr(result, "accepted", None) == (0 if outcome is CORRECT else None)


async def test_without_the_option_no_model_compares(tools, chosen):
    dropped = await VerifyGate().run(chosen(Mode.OFF, candidates=sampled(UNDECIDED)), tools())
    assert dropped.reason is DropReason.UNDECIDED


def test_an_accepted_turn_passes_no_second_gate(chosen):
    assert VerifyGate().applies(chosen(Mode.OFF))
    assert not VerifyGate().applies(chosen(Mode.OFF, accepted=0))


async def test_as_many_are_accepted_as_the_query_is_to_bring(tools, chosen):
    draft = chosen(Mode.OFF, responses=2, candidates=sampled(CORRECT, INCORRECT, CORRECT, CORRECT))
    gated = await VerifyGate().run(draft, tools())
    assert (gated.accepted, gated.further) == (0, (Further(position=2),))


async def test_fewer_are_accepted_where_there_are_no_more_texts(tools, chosen):
    same = tuple(a_candidate("42", position=n, verdicts=(a_verdict(CORRECT),)) for n in range(3))
    gated = await VerifyGate().run(chosen(Mode.OFF, responses=3, candidates=same), tools())
    assert (gated.accepted, gated.further) == (0, ())
