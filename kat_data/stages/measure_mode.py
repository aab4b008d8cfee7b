"""Measure at a turn what its two modes are worth: answers drawn in both, verified, their tokens counted (§4.1.1)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.domain.measurement import ModeMeasurement, Trials, preferred_mode
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.domain.query import VerifierKind
from kat_data.domain.verdict import Outcome, Status
from kat_data.hashing import fraction
from kat_data.stages.parts.answering import PROMPTS
from kat_data.stages.parts.asking import all_settled, members
from kat_data.stages.parts.sampling import draw_answer
from kat_data.stages.stage import Stage, Tools

_OPEN_TO_EVIDENCE = frozenset({ModeOrigin.MAJORITY, ModeOrigin.ROUTE})


class MeasureMode(Stage):
    """Draw `k` answers in each mode for a share of the turns that have a verifier, and keep how each mode fared.

    The calls are those of `sample_off` and `sample_on`, so that their answers cost nothing later. Modes that the user
    asked for or that were drawn at random are left alone.
    """

    name: ClassVar[str] = "measure_mode"
    verifiers: ClassVar[tuple[VerifierKind, ...]] = tuple(VerifierKind)
    roles: ClassVar[tuple[str, ...]] = ("responder", "reasoner")
    prompts: ClassVar[tuple[str, ...]] = PROMPTS
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("vote_mode", "route_mode"),)
    precedes: ClassVar[tuple[str, ...]] = ("sample_off", "sample_on", "reason_on")

    share: float = Field(0.05, ge=0, le=1, description="The share of turns with a verifier that are measured.")
    k: int = Field(4, ge=1, description="How many answers are drawn in each mode.")
    margin: float = Field(
        0.05, ge=0, lt=1, description="Think-on is preferred where it is right more often by more than this."
    )
    decide: Literal["vote", "measurement"] = Field(
        "vote", description="What decides on a measured turn's mode: what stood before, or the measurement."
    )

    def applies(self, draft: Draft) -> bool:
        open_ = draft.choice is not None and draft.choice.origin in _OPEN_TO_EVIDENCE
        blank = draft.measurement is None and not draft.candidates and not draft.equipment
        return super().applies(draft) and draft.verifiable and open_ and blank

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        turn = (draft.query.hash, str(len(draft.turns)))
        if fraction(tools.seed, "measure_mode.share", *turn) >= self.share:
            return draft
        first = await self._draw(draft, tools, Mode.OFF, range(1))
        if any(verdict.status is Status.NOT_VERIFIED for verdict in first[0].verdicts):
            return draft  # nothing at hand can tell right from wrong: more answers would be paid for in vain
        rest, on = await all_settled(
            (self._draw(draft, tools, Mode.OFF, range(1, self.k)), self._draw(draft, tools, Mode.ON, range(self.k)))
        )
        return self._measured(draft, _trials(first + rest), _trials(on))

    async def _draw(self, draft: Draft, tools: Tools, mode: Mode, positions: range) -> tuple[Candidate, ...]:
        writers = members(tools, "reasoner" if mode is Mode.ON else "responder")
        return await all_settled(draw_answer(draft, writers, mode, tools.verify, position) for position in positions)

    def _measured(self, draft: Draft, off: Trials, on: Trials) -> Draft:
        assert draft.choice is not None
        preferred = preferred_mode(off, on, self.margin)
        draft = replace(
            draft,
            measurement=ModeMeasurement(
                chosen=draft.choice.mode, chosen_by=draft.choice.origin, off=off, on=on, preferred=preferred
            ),
        )
        if self.decide == "vote" or preferred is None:
            return draft
        return replace(draft, choice=ModeChoice(mode=preferred, origin=ModeOrigin.MEASUREMENT))


def _trials(candidates: Sequence[Candidate]) -> Trials:
    outcomes = [candidate.outcome for candidate in candidates]
    return Trials(
        n=len(candidates),
        correct=outcomes.count(Outcome.CORRECT),
        undecided=outcomes.count(Outcome.UNDECIDED),
        tokens=sum(candidate.tokens or 0 for candidate in candidates),
    )
