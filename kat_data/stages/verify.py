"""The gate (§4.1.2): every candidate has a verdict, and the first correct ones that can be samples are accepted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft, Further
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.query import VerifierKind
from kat_data.domain.verdict import Outcome, Status
from kat_data.errors import ReplyCut
from kat_data.stages.parts.answering import shown
from kat_data.stages.parts.asking import members
from kat_data.stages.parts.assessing import CRITIC, PANEL, acceptable, by_verifier, judged, misfit, why_unverified
from kat_data.stages.stage import Kind, Stage, Tools


class VerifyGate(Stage):
    """Accept the first correct candidates that the training template can hold, or drop the query by its cause.

    One is accepted, or as many as the query is to bring samples.

    With `compare`, models of the role `judge` decide on answers that the verifier could not read; their word lets a
    sample be kept, and is no reward.
    """

    name: ClassVar[str] = "verify"
    kind: ClassVar[Kind] = Kind.VERIFY
    verifiers: ClassVar[tuple[VerifierKind, ...]] = tuple(VerifierKind)
    prompts: ClassVar[tuple[str, ...]] = ("compare.v2",)
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("sample_off", "develop"), ("sample_on", "reason_on", "develop"))

    compare: bool = Field(
        False, description="Let the judge compare answers that the verifier cannot read with the reference."
    )

    def needed_roles(self) -> tuple[str, ...]:
        return ("judge",) if self.compare else ()

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and draft.accepted is None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        decided = tuple([await self._decide(draft, tools, candidate) for candidate in draft.candidates])
        draft = replace(draft, candidates=decided)
        correct = [candidate for candidate in decided if candidate.outcome is Outcome.CORRECT]
        if good := acceptable(decided)[: draft.wanted]:
            further = tuple(Further(position=candidate.position) for candidate in good[1:])
            return replace(draft, accepted=good[0].position, further=further)
        if correct:
            return Dropped(reason=DropReason.NOT_RENDERABLE, detail=misfit(correct[0]) or "", draft=draft)
        return Dropped(reason=drop_reason(draft), detail=_counts(decided), draft=draft)

    async def _decide(self, draft: Draft, tools: Tools, candidate: Candidate) -> Candidate:
        if candidate.fault or not draft.decides(candidate):
            return candidate
        if not candidate.verdicts:
            candidate = judged(candidate, await by_verifier(draft, candidate, tools.verify))
        reference = draft.query.reference
        if self.compare and reference and candidate.verdicts[-1].status is Status.UNPARSABLE:
            judges = members(tools, "judge")
            answer = shown(candidate)
            opinion = await tools.compare(task=draft.user_text, reference=reference, answer=answer, judges=judges)
            return judged(candidate, opinion)
        return candidate


def drop_reason(draft: Draft) -> DropReason:
    """Return why none of the draft's candidates is correct."""
    readable = [candidate for candidate in draft.candidates if not candidate.fault]
    if not readable:
        cut = draft.candidates and all(candidate.fault == ReplyCut.code for candidate in draft.candidates)
        return DropReason.REPLY_CUT if cut else DropReason.NO_CANDIDATE
    verdicts = [verdict for candidate in readable for verdict in candidate.verdicts]
    if any(verdict.verifier == PANEL for verdict in verdicts):
        return DropReason.PANEL_REJECTED
    if draft.step is not None and any(verdict.outcome is Outcome.INCORRECT for verdict in verdicts):
        return DropReason.OFF_RECORD
    if draft.equipment and any(verdict.outcome is Outcome.INCORRECT for verdict in verdicts):
        return DropReason.UNDEVELOPED
    if any(verdict.verifier == CRITIC for verdict in verdicts):
        return DropReason.CRITIC_REJECTED
    if any(verdict.outcome is Outcome.INCORRECT for verdict in verdicts):
        return DropReason.WRONG_ANSWER
    unverified = [verdict.evidence for verdict in verdicts if verdict.status is Status.NOT_VERIFIED]
    return why_unverified(draft.query, unverified) or DropReason.UNDECIDED


def _counts(candidates: Sequence[Candidate]) -> str:
    """Name how many candidates ended how, such as `2 incorrect, 1 reply_cut`."""
    words = [candidate.fault or candidate.outcome.value for candidate in candidates]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
