"""Rejection sampling (§3.2, §4.1.1): draw answers one after another until one is accepted, and keep them all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.domain.mode import Mode
from kat_data.domain.query import VerifierKind
from kat_data.domain.verdict import Status
from kat_data.llm.model import Model
from kat_data.stages.parts.answering import PROMPTS, answer_turn, shown
from kat_data.stages.parts.asking import all_settled, members, whose_turn
from kat_data.stages.parts.assessing import acceptable, by_panel, by_verifier, judged, off_record
from kat_data.stages.stage import Stage, Tools, Verify


class RejectionSampling(Stage):
    """Draw up to `k` answers in one mode for each wanted response, stopping when enough will do unless all are kept.

    The query's verifier judges each, or else the panel. Several writers take turns. Drawing one at a time costs least;
    `concurrent` draws buy time with money.
    """

    prompts: ClassVar[tuple[str, ...]] = (*PROMPTS, "panel.v1", "panel_step.v1")
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("vote_mode", "route_mode"),)
    verifiers: ClassVar[tuple[VerifierKind, ...]] = tuple(VerifierKind)
    mode: ClassVar[Mode]
    writers: ClassVar[str]

    k: int = Field(4, ge=1, description="The most answers that are drawn for one response to a turn.")
    concurrent: int = Field(1, ge=1, description="How many answers are drawn side by side before they are looked at.")
    keep: Literal["first", "all"] | tuple[Category, ...] = Field(
        "first",
        description="Stop at the first answer that will do, or draw all `k` for a later stage to choose from: "
        "for all categories, or for those in a list.",
    )
    agreement: float = Field(
        0.5, ge=0.5, lt=1, description="The panel decides where more than this share of it agrees."
    )

    def applies(self, draft: Draft) -> bool:
        chosen = draft.choice is not None and draft.choice.mode is self.mode
        return super().applies(draft) and chosen and not draft.candidates and not draft.equipment

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        candidates: tuple[Candidate, ...] = ()
        limit = self.k * draft.wanted
        while len(candidates) < limit and not self._settled(candidates, draft):
            batch = range(len(candidates), min(len(candidates) + self.concurrent, limit))
            candidates += await all_settled(self._draw(draft, tools, position) for position in batch)
        return replace(draft, candidates=candidates)

    async def _draw(self, draft: Draft, tools: Tools, position: int) -> Candidate:
        candidate = await draw_answer(draft, members(tools, self.writers), self.mode, tools.verify, position)
        if candidate.fault or candidate.verdicts:
            return candidate
        panel = members(tools, "panel")
        prompt = "panel_step.v1" if candidate.tool_calls else "panel.v1"
        verdict = await by_panel(draft.transcript, shown(candidate), panel, agreement=self.agreement, prompt=prompt)
        return judged(candidate, verdict)

    def _settled(self, candidates: Sequence[Candidate], draft: Draft) -> bool:
        """Whether more draws are in vain: enough of these will do, or no verifier is at hand for any."""
        choosy = self.keep == "all" or draft.query.category in self.keep
        if not choosy and len(acceptable(candidates)) >= draft.wanted:
            return True
        return any(verdict.status is Status.NOT_VERIFIED for candidate in candidates for verdict in candidate.verdicts)


async def draw_answer(draft: Draft, writers: Sequence[Model], mode: Mode, verify: Verify, position: int) -> Candidate:
    """Return the answer at `position`, with the verdict of the turn's verifier where it has one.

    Several writers take turns. The same position is the same call, whichever stage draws it.
    """
    writer, sample = whose_turn(writers, position)
    candidate = await answer_turn(draft, writer, mode, position=position, sample=sample)
    if candidate.fault:
        return candidate
    if verdict := off_record(draft, candidate):
        return judged(candidate, verdict)
    return judged(candidate, await by_verifier(draft, candidate, verify)) if draft.decides(candidate) else candidate
