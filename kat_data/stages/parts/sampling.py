"""Rejection sampling (§3.2, §4.1.1): draw answers one after another until one is accepted, and keep them all."""

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.domain.mode import Mode
from kat_data.domain.verdict import Outcome, Status
from kat_data.stages.parts.answering import PROMPTS, answer_turn, shown
from kat_data.stages.parts.asking import all_settled, members
from kat_data.stages.parts.assessing import by_panel, by_verifier, judged, misfit, off_record
from kat_data.stages.stage import Stage, Tools


class RejectionSampling(Stage):
    """Draw up to `k` answers in one mode, stopping at the first that will do.

    The query's verifier judges each, or else the panel. Several writers take turns. Drawing one at a time costs least;
    `concurrent` draws buy time with money.
    """

    prompts: ClassVar[tuple[str, ...]] = (*PROMPTS, "panel.v1", "panel_step.v1")
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("vote_mode", "route_mode"),)
    mode: ClassVar[Mode]
    writers: ClassVar[str]

    k: int = Field(4, ge=1, description="The most answers that are drawn for one turn.")
    concurrent: int = Field(1, ge=1, description="How many answers are drawn side by side before they are looked at.")
    agreement: float = Field(
        0.5, ge=0.5, lt=1, description="The panel decides where more than this share of it agrees."
    )

    def applies(self, draft: Draft) -> bool:
        chosen = draft.choice is not None and draft.choice.mode is self.mode
        return super().applies(draft) and chosen and not draft.candidates and not draft.equipment

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        candidates: tuple[Candidate, ...] = ()
        while len(candidates) < self.k and not any(_settles(candidate) for candidate in candidates):
            batch = range(len(candidates), min(len(candidates) + self.concurrent, self.k))
            candidates += await all_settled(self._draw(draft, tools, position) for position in batch)
        return replace(draft, candidates=candidates)

    async def _draw(self, draft: Draft, tools: Tools, position: int) -> Candidate:
        writers = members(tools, self.writers)
        sample, turn = divmod(position, len(writers))
        candidate = await answer_turn(draft, writers[turn], self.mode, position=position, sample=sample)
        return candidate if candidate.fault else await self._judge(draft, tools, candidate)

    async def _judge(self, draft: Draft, tools: Tools, candidate: Candidate) -> Candidate:
        if verdict := off_record(draft, candidate):
            return judged(candidate, verdict)
        if draft.decides(candidate):
            return judged(candidate, await by_verifier(draft, candidate, tools.verify))
        panel = members(tools, "panel")
        prompt = "panel_step.v1" if candidate.tool_calls else "panel.v1"
        verdict = await by_panel(draft.transcript, shown(candidate), panel, agreement=self.agreement, prompt=prompt)
        return judged(candidate, verdict)


def _settles(candidate: Candidate) -> bool:
    """Whether more draws are in vain: this one will do, or no verifier is at hand for any."""
    if candidate.outcome is Outcome.CORRECT:
        return misfit(candidate) is None
    return any(verdict.status is Status.NOT_VERIFIED for verdict in candidate.verdicts)
