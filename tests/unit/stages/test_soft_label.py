"""Soft labels: what the labellers' majority says, and when they have none."""

from dataclasses import replace

import pytest

from kat_data.domain.category import Category
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.query import ReferenceOrigin, VerifierKind, VerifierSpec
from kat_data.domain.tag import TagSummary
from kat_data.stages.sample_on import SampleOn
from kat_data.stages.soft_label import LabelSoftly
from kat_data.testing import a_candidate, a_draft, a_query
from kat_data.verifiers.dispatch import Verifiers


def thought(answer):
    return f"# Thinking\nSo.\n\n# Answer\n{answer}"


def boxed(number):
    return thought(rf"\boxed{{{number}}}")


@pytest.fixture
def label(tools, player):
    """Run the stage on a query; each labeller has its own replies, in its own order."""

    async def run(*replies, query=None, **options):
        labellers = [player(chat=list(each)).model(f"model-{i}") for i, each in enumerate(replies)]
        options = {"k": sum(map(len, replies))} | options
        with Verifiers() as verifiers:
            given = tools(labellers=labellers, group=verifiers.group)
            return await LabelSoftly(**options).run(a_draft(query or a_query(reference=None)), given)

    return run


async def test_the_largest_class_becomes_the_reference_of_the_runs_own_query(label):
    draft = await label([boxed("1/2"), boxed(3)], [boxed("0.5"), boxed(r"\frac12")])
    found = draft.soft_label
    assert found.reference == "1/2"
    assert (found.confidence, found.weighted) == (0.75, 0.75)
    assert [(a.model, a.answer, a.rank, a.fault) for a in found.answers] == [
        ("model-0", "1/2", 0, None),
        ("model-1", "1/2", 0, None),
        ("model-0", "3", 1, None),
        ("model-1", "1/2", 0, None),
    ]
    assert (draft.query.reference, draft.query.verifier.kind) == ("1/2", VerifierKind.MATH)
    assert draft.query.reference_origin is ReferenceOrigin.SOFT
    assert draft.query.hash == a_query(reference=None).hash
    assert draft.lineage != a_draft(draft.query).lineage


async def test_a_verdict_against_a_soft_label_is_an_opinion_without_a_reward(label):
    draft = await label([boxed(7), boxed(7)])
    with Verifiers() as verifiers:
        verdict = verifiers.verify(draft.query, a_candidate(r"\boxed{7}"))
        wrong = verifiers.verify(draft.query, a_candidate(r"\boxed{8}"))
        hard = verifiers.verify(replace(draft.query, reference_origin=ReferenceOrigin.SOURCE), a_candidate("7"))
    assert (verdict.outcome, verdict.status, verdict.reward) == ("correct", "endorsed", None)
    assert (verdict.evidence["status"], verdict.evidence["soft"]) == ("correct", True)
    assert (wrong.outcome, wrong.status, wrong.reward) == ("incorrect", "objected", None)
    assert hard.reward == 1.0


async def test_choices_are_grouped_by_letter_where_the_question_lists_them(label):
    query = a_query("Which?\nA. red\nB. blue\nC. green", reference=None, category=Category.SCIENCE)
    said = [thought("Answer: B"), thought("The answer is blue.\nAnswer: B"), thought("Answer: C")]
    draft = await label(said, query=query)
    assert draft.query.reference == "B"
    assert draft.query.verifier == VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": ["red", "blue", "green"]})


async def test_a_model_with_many_answers_weighs_no_more_than_one(label):
    draft = await label([boxed(1), boxed(1), boxed(1)], [boxed(1), boxed(2), boxed(2)])
    assert draft.soft_label.confidence == pytest.approx(4 / 6)
    assert draft.soft_label.weighted == pytest.approx((1 + 1 / 3) / 2)


async def test_a_model_that_is_listed_twice_draws_answers_of_its_own(tools, player):
    script = player(chat=[boxed(number) for number in (1, 2, 1, 1)])
    model = script.model()
    with Verifiers() as verifiers:
        given = tools(labellers=[model, model], group=verifiers.group)
        draft = await LabelSoftly(k=4).run(a_draft(a_query(reference=None)), given)
    assert [request.sample for _, request in script.requests] == [0, 1, 2, 3]
    assert draft.soft_label.confidence == 0.75


@pytest.mark.parametrize(
    ("replies", "agreement", "detail"),
    [
        ([boxed(1), boxed(1), boxed(2), boxed(3)], 0.6, "0.50 of 4 answers agree, 0.50 by model"),
        ([boxed(1), boxed(1), boxed(2), boxed(2)], 0.5, "0.50 of 4 answers agree"),
        ([boxed(1), thought("I do not know."), thought("Either 1 or 2?"), boxed(1)], 0.6, "0.50 of 4"),
    ],
)
async def test_without_a_majority_the_query_is_dropped_and_the_answers_are_kept(label, replies, agreement, detail):
    dropped = await label(replies, agreement=agreement)
    assert dropped.reason is DropReason.NO_MAJORITY
    assert dropped.detail.startswith(detail)
    assert dropped.draft.soft_label.reference is None
    assert len(dropped.draft.soft_label.answers) == 4
    assert dropped.draft.query.reference is None


async def test_without_a_readable_answer_the_faults_are_counted(label, cut):
    dropped = await label([cut, thought("I do not know."), thought("No idea at all.")])
    assert isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.detail) == (DropReason.UNLABELLED, "1 reply_cut, 2 unparsable")


async def test_a_cut_answer_counts_against_the_majority(label, cut):
    draft = await label([boxed(1), cut, boxed(1)])
    assert draft.soft_label.confidence == pytest.approx(2 / 3)
    assert draft.soft_label.answers[1].fault == "reply_cut"


async def test_a_model_that_also_reasons_is_asked_the_same_and_pays_once(tools, player, chosen):
    script = player(chat=[boxed(42)] * 2)
    model = script.model()
    blank = a_draft(a_query(reference=None))
    with Verifiers() as verifiers:
        given = tools(labellers=model, reasoner=model, group=verifiers.group)
        given = replace(given, verify=verifiers)
        draft = await LabelSoftly(k=2).run(blank, given)
        draft = replace(draft, choice=chosen("think_on").choice)
        sampled = await SampleOn(k=1).run(draft, given)
    assert sampled.candidates[0].calls == (draft.soft_label.answers[0].call,)
    assert len(script.requests) == 2


def summary(*, verifiable):
    return TagSummary(difficulty=4.0, spread=0, domain="algebra", verifiable=verifiable)


@pytest.mark.parametrize(
    ("draft", "options", "applies"),
    [
        (a_draft(a_query(reference=None)), {}, True),
        (a_draft(a_query(reference="42")), {}, False),
        (a_draft(a_query(reference=None, category=Category.SCIENCE)), {}, True),
        (a_draft(a_query(reference=None, category=Category.GENERAL)), {}, False),
        (a_draft(a_query(reference=None, category=Category.GENERAL)), {"only": ["general"]}, True),
        (a_draft(a_query("One?", "Yes.", "Two?", reference=None)), {}, False),
        (a_draft(a_query(reference=None, verifier=VerifierSpec(kind=VerifierKind.KEYWORD))), {}, False),
        (a_draft(a_query(reference=None), summary=summary(verifiable=False)), {}, False),
        (a_draft(a_query(reference=None), summary=summary(verifiable=False)), {"unverifiable": True}, True),
        (a_draft(a_query(reference=None), summary=summary(verifiable=True)), {}, True),
        (a_draft(a_query(reference=None), candidates=(a_candidate(),)), {}, False),
    ],
)
def test_it_serves_queries_that_lack_a_reference_and_could_have_one(draft, options, applies):
    assert LabelSoftly(**options).applies(draft) is applies
