"""Soft labels (§4.1.2): where the source has no reference, the answer on which strong models agree."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.equivalence import Equivalence
from kat_data.domain.mode import Mode
from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.domain.soft_label import LabelAnswer, SoftLabel
from kat_data.stages.parts.answering import PROMPTS, answer_turn
from kat_data.stages.parts.asking import all_settled, members, whose_turn
from kat_data.stages.parts.options import listed_options
from kat_data.stages.stage import Stage, Tools

_CATEGORIES = (Category.MATH, Category.SCIENCE)
_KINDS = (VerifierKind.MATH, VerifierKind.CHOICE)


class LabelSoftly(Stage):
    """Draw `k` reasoned answers of the labellers, in turn, and take the largest class of equal ones as the reference.

    Maths and science alone, one user turn, no reference yet; a query that the taggers call unverifiable passes by.
    The calls are those of `sample_on`, so a model that is labeller and reasoner pays for an answer once.
    """

    name: ClassVar[str] = "soft_label"
    verifiers: ClassVar[tuple[VerifierKind, ...]] = _KINDS
    roles: ClassVar[tuple[str, ...]] = ("labellers",)
    prompts: ClassVar[tuple[str, ...]] = PROMPTS
    per_turn: ClassVar[bool] = False

    k: int = Field(8, ge=2, description="How many answers are drawn for a query; several labellers take turns.")
    agreement: float = Field(
        0.6, gt=0, le=1, description="The least share of all answers, and of models counted as one each, that agree."
    )
    unverifiable: bool = Field(False, description="Also label queries that the taggers call unverifiable.")

    def serves(self, category: Category) -> bool:
        return category in (self.only or _CATEGORIES)

    def applies(self, draft: Draft) -> bool:
        blank = draft.soft_label is None and not draft.candidates and not draft.turns
        return super().applies(draft) and blank and _lacks_a_reference(draft.query) and self._is_worth_it(draft)

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        asked = replace(draft, query=replace(draft.query, verifier=_spec(draft.query)))
        drawn = await all_settled(self._draw(asked, tools, position) for position in range(self.k))
        readable = [candidate for candidate in drawn if not candidate.fault]
        classes = await tools.group(asked.query, [candidate.answer for candidate in readable])
        label = _label(asked.query, drawn, readable, classes)
        if not classes.classes:
            return Dropped(reason=DropReason.UNLABELLED, detail=_faults(label), draft=draft.labelled(label))
        if not _leads(classes) or min(label.confidence, label.weighted) < self.agreement:
            unsettled = replace(label, reference=None)
            tie = "" if _leads(classes) else "; no class is larger than every other"
            detail = f"{_shares(label)}, the recipe asks for {self.agreement:g}{tie}"
            return Dropped(reason=DropReason.NO_MAJORITY, detail=detail, draft=draft.labelled(unsettled))
        return draft.labelled(label)

    def _is_worth_it(self, draft: Draft) -> bool:
        return self.unverifiable or draft.summary is None or draft.summary.verifiable

    async def _draw(self, draft: Draft, tools: Tools, position: int) -> Candidate:
        labeller, sample = whose_turn(members(tools, "labellers"), position)
        return await answer_turn(draft, labeller, Mode.ON, position=position, sample=sample)


def _lacks_a_reference(query: Query) -> bool:
    comparable = query.verifier is None or query.verifier.kind in _KINDS
    return query.reference is None and comparable and len(query.user_turns) == 1 and not query.tools


def _spec(query: Query) -> VerifierSpec:
    """How answers will be compared: as the query says, else by the options that it lists, else as maths."""
    if query.verifier is not None:
        return query.verifier
    if choices := listed_options(query.user_turns[0]):
        return VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": list(choices)})
    return VerifierSpec(kind=VerifierKind.MATH)


def _label(query: Query, drawn: Sequence[Candidate], readable: Sequence[Candidate], classes: Equivalence) -> SoftLabel:
    ranks = {readable[i].position: number for number, each in enumerate(classes.classes) for i in each}
    excluded = {readable[i].position: status.value for i, status in classes.excluded}
    answers = tuple(
        LabelAnswer(
            model=candidate.model,
            answer=classes.answers[ranks[candidate.position]] if candidate.position in ranks else "",
            rank=ranks.get(candidate.position),
            call=candidate.calls[-1] if candidate.calls else "",
            fault=candidate.fault or excluded.get(candidate.position),
        )
        for candidate in drawn
    )
    assert query.verifier is not None
    return SoftLabel(
        reference=classes.answers[0] if classes.answers else None,
        verifier=query.verifier,
        confidence=_share(answers),
        weighted=_mean_share(answers),
        answers=answers,
    )


def _share(answers: Sequence[LabelAnswer]) -> float:
    return sum(answer.rank == 0 for answer in answers) / len(answers)


def _mean_share(answers: Sequence[LabelAnswer]) -> float:
    """The mean of every model's own share: ten answers of one model weigh no more than one of another."""
    models = dict.fromkeys(answer.model for answer in answers)
    shares = [_share([answer for answer in answers if answer.model == model]) for model in models]
    return sum(shares) / len(shares)


def _leads(classes: Equivalence) -> bool:
    first, *others = classes.classes
    return not others or len(first) > len(others[0])


def _shares(label: SoftLabel) -> str:
    return f"{label.confidence:.2f} of {len(label.answers)} answers agree, {label.weighted:.2f} by model"


def _faults(label: SoftLabel) -> str:
    """Name how many answers had which fault, such as `3 unparsable, 1 reply_cut`."""
    words = [answer.fault or "" for answer in label.answers]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
