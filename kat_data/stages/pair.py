"""Accept a query with its verifier, without an answer: the end of a run for reinforcement learning (§4.2.3)."""

from dataclasses import replace
from typing import ClassVar

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.stages.stage import Kind, Stage, Tools


class MakePair(Stage):
    """Accept what has a verifier whose reward can be trusted; the other queries leave the run."""

    name: ClassVar[str] = "pair"
    kind: ClassVar[Kind] = Kind.CPU
    per_turn: ClassVar[bool] = False
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("pass_rate",),)

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        if draft.query.verifier is None:
            return Dropped(reason=DropReason.NO_VERIFIER)
        return replace(draft, paired=True)
