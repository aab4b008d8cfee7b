"""Pass rates: what is measured, what stops a measurement, and which queries are kept."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.pass_rate import PassRate, Rollout, RolloutMode, measured_difficulty
from kat_data.domain.query import ReferenceOrigin, VerifierKind, VerifierSpec
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import RecipeError
from kat_data.llm.ledger import MemoryLedger
from kat_data.stages.pass_rate import MeasurePassRate
from kat_data.testing import a_draft, a_query, a_reply

RIGHT, WRONG, UNREADABLE = "42", "41", "?"
VERDICTS = {"42": Outcome.CORRECT, "41": Outcome.INCORRECT, "?": Outcome.UNDECIDED}


@pytest.fixture
def measure(tools, player):
    """Run the stage with a policy that replies in turn."""

    async def run(*replies, draft=None, revision="step-100", verdicts=VERDICTS, **options):
        script = player(chat=list(replies))
        options = {"k": len(replies)} | options
        given = tools(verdicts, policy=script.model("policy", revision=revision))
        result = await MeasurePassRate(**options).run(draft or a_draft(), given)
        return result, script

    return run


async def test_undecided_rollouts_are_counted_apart_and_never_as_wrong(measure, cut):
    draft, _ = await measure(RIGHT, WRONG, UNREADABLE, RIGHT, cut, RIGHT)
    rate = draft.pass_rate
    assert (rate.policy, rate.revision, rate.mode) == ("policy", "step-100", RolloutMode.AUTO)
    assert (rate.k, rate.correct, rate.incorrect, rate.undecided) == (6, 3, 1, 2)
    assert rate.rate == 0.75
    assert rate.bounds == (3 / 6, 5 / 6)
    assert rate.interval == pytest.approx((0.300642, 0.954413), abs=1e-6)
    assert [r.status for r in rate.rollouts] == [
        "correct", "incorrect", "unparsable", "correct", "reply_cut", "correct",
    ]  # fmt: skip


async def test_tokens_are_added_up(measure):
    draft, _ = await measure(a_reply(RIGHT, completion_tokens=7), a_reply(WRONG, completion_tokens=11))
    assert draft.pass_rate.tokens == 18


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([RIGHT] * 4, DropReason.TOO_EASY),
        ([WRONG] * 4, DropReason.TOO_HARD),
        ([RIGHT, WRONG, WRONG, WRONG], None),
        ([RIGHT, RIGHT, UNREADABLE, UNREADABLE], DropReason.TOO_EASY),
        ([RIGHT, UNREADABLE, UNREADABLE, UNREADABLE], DropReason.UNMEASURED),
        ([UNREADABLE] * 4, DropReason.UNMEASURED),
    ],
)
async def test_queries_outside_the_range_are_dropped_with_their_rollouts(measure, replies, reason):
    result, _ = await measure(*replies, keep=(0.25, 0.75))
    if reason is None:
        assert result.pass_rate.rate == 0.25
    else:
        assert isinstance(result, Dropped)
        assert result.reason is reason
        assert result.draft.pass_rate.k == 4
        assert f"of 4 correct, {replies.count(UNREADABLE)} undecided" in result.detail


async def test_without_a_range_every_measured_query_is_kept(measure):
    result, _ = await measure(WRONG, WRONG)
    assert result.pass_rate.rate == 0.0


async def test_replies_that_are_all_cut_say_so(measure, cut):
    result, _ = await measure(cut, cut)
    assert result.reason is DropReason.REPLY_CUT


@pytest.mark.parametrize("concurrent", [1, 3, 8])
@pytest.mark.parametrize(
    ("replies", "drawn"),
    [
        ([RIGHT] * 8, 3),
        ([WRONG] * 8, 3),
        ([RIGHT, UNREADABLE, RIGHT, UNREADABLE, RIGHT, RIGHT, RIGHT, RIGHT], 5),
        ([RIGHT, RIGHT, WRONG, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT], 8),
        ([UNREADABLE] * 8, 8),
    ],
)
async def test_it_stops_early_where_all_are_alike(measure, replies, drawn, concurrent):
    result, script = await measure(*replies, k=8, stop_early=3, concurrent=concurrent, decided=0)
    draft = result.draft if isinstance(result, Dropped) else result
    assert draft.pass_rate.k == len(script.requests) == drawn


async def test_without_a_sandbox_no_rollouts_are_drawn_in_vain(measure):
    query = a_query(category=Category.CODE, verifier=VerifierSpec(kind=VerifierKind.CODE))
    unverified = Verdict(outcome=Outcome.UNDECIDED, status=Status.NOT_VERIFIED, verifier="code/1")
    result, script = await measure(*[RIGHT] * 8, draft=a_draft(query), verdicts={RIGHT: unverified}, concurrent=2)
    assert result.reason is DropReason.NO_SANDBOX
    assert len(script.requests) == 2


async def test_a_larger_k_pays_for_the_new_rollouts_alone(tools, player):
    script, ledger = player(chat=[RIGHT, WRONG, RIGHT, RIGHT]), MemoryLedger()
    for k in (2, 4):
        policy = script.model("policy", revision="step-100", ledger=ledger)
        draft = await MeasurePassRate(k=k).run(a_draft(), tools(VERDICTS, policy=policy))
        assert len(script.requests) == k
    assert (draft.pass_rate.correct, draft.pass_rate.k) == (3, 4)


async def test_another_revision_is_measured_anew(tools, player):
    script, ledger = player(chat=[RIGHT, WRONG]), MemoryLedger()
    rates = []
    for revision in ("step-100", "step-200"):
        policy = script.model("policy", revision=revision, ledger=ledger)
        draft = await MeasurePassRate(k=1).run(a_draft(), tools(VERDICTS, policy=policy))
        rates.append(draft.pass_rate.rate)
    assert rates == [1.0, 0.0]


async def test_a_policy_without_a_revision_is_refused(measure):
    with pytest.raises(RecipeError, match="policy has no revision: give its checkpoint's hash"):
        await measure(RIGHT, revision="")


async def test_several_policies_are_refused(tools, player):
    policies = [player().model(name, revision="1") for name in ("one", "two")]
    with pytest.raises(RecipeError, match="holds one model"):
        await MeasurePassRate().run(a_draft(), tools(VERDICTS, policy=policies))


async def test_a_rate_against_a_soft_label_is_marked(measure):
    query = replace(a_query(), reference_origin=ReferenceOrigin.SOFT)
    draft, _ = await measure(RIGHT, draft=a_draft(query))
    assert draft.pass_rate.soft


def test_only_queries_with_a_verifier_are_measured_and_once():
    stage = MeasurePassRate()
    rate = PassRate(
        policy="p", revision="1", mode=RolloutMode.AUTO, prompted=False, temperature=1.0, top_p=1.0, max_tokens=9
    )
    assert stage.applies(a_draft())
    assert stage.applies(a_draft(a_query("One?", "Yes.", "Two?")))
    assert not stage.applies(a_draft(a_query(reference=None)))
    assert not stage.applies(a_draft(pass_rate=rate))
    assert (rate.rate, rate.interval, rate.bounds) == (None, (0.0, 1.0), (0.0, 1.0))


@pytest.mark.parametrize("keep", [[0.9, 0.1], [-0.1, 1], [0, 1.1]])
def test_a_range_that_is_none_is_refused(keep):
    with pytest.raises(ValidationError, match="two shares between 0 and 1"):
        MeasurePassRate(keep=keep)


def test_measured_difficulty_is_on_the_taggers_scale():
    assert [measured_difficulty(rate) for rate in (1.0, 0.5, 0.0)] == [1.0, 5.5, 10.0]


async def test_a_conversation_is_verified_at_its_last_turn(tools, player):
    seen = []

    async def verify(query, candidate):
        assert isinstance(candidate, Candidate)
        seen.append(candidate.answer)
        return Verdict(outcome=Outcome.CORRECT, status=Status.CORRECT, verifier="test")

    script = player(chat=["2"])
    given = replace(tools({}, policy=script.model("policy", revision="1")), verify=verify)
    draft = await MeasurePassRate(k=1).run(a_draft(a_query("One?", "Yes.", "Two?")), given)
    assert seen == ["2"]
    assert draft.turns == ()
    assert isinstance(draft.pass_rate.rollouts[0], Rollout)
