"""Think-on answers by solver, thinker and critic (§3.2)."""

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.domain.mode import Mode
from kat_data.domain.query import VerifierKind
from kat_data.hashing import draw
from kat_data.llm.model import Model
from kat_data.stages.parts.answering import PROMPTS
from kat_data.stages.parts.asking import members
from kat_data.stages.parts.chain import Cast, Chain
from kat_data.stages.stage import Stage, Tools


class ReasonOn(Stage):
    """Let the thinker improve the solver's answer under the critic's eye, and write a verified result as one mind."""

    name: ClassVar[str] = "reason_on"
    verifiers: ClassVar[tuple[VerifierKind, ...]] = tuple(VerifierKind)
    roles: ClassVar[tuple[str, ...]] = ("solver", "thinker", "critic")
    prompts: ClassVar[tuple[str, ...]] = (*PROMPTS, "improve.v1", "improve_calls.v1", "criticise.v1", "weave.v1")
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("vote_mode", "route_mode"),)

    rounds: int = Field(3, ge=1, description="The most rounds of improvement and criticism.")

    def applies(self, draft: Draft) -> bool:
        chosen = draft.choice is not None and draft.choice.mode is Mode.ON
        return super().applies(draft) and chosen and not draft.candidates and not draft.equipment

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        cast = Cast(
            solver=self._pick(draft, tools, "solver"),
            thinker=self._pick(draft, tools, "thinker"),
            critics=members(tools, "critic"),
        )
        candidates = [
            await Chain(draft, cast, tools.verify, position).run(self.rounds) for position in range(draft.wanted)
        ]
        return replace(draft, candidates=tuple(candidates))

    def _pick(self, draft: Draft, tools: Tools, role: str) -> Model:
        """Where a role holds several models, each turn gets one of them by the run's seed."""
        models = members(tools, role)
        return models[draw(tools.seed, "reason_on", role, draft.query.hash, str(len(draft.turns))) % len(models)]
