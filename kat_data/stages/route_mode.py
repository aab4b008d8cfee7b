"""Choose a turn's mode from the query's difficulty and whether its answer can be verified (§3.2)."""

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.errors import RecipeError
from kat_data.stages.stage import Kind, Stage, Tools


class RouteMode(Stage):
    """Take the user's directive, else think-on from a threshold of difficulty; no calls."""

    name: ClassVar[str] = "route_mode"
    kind: ClassVar[Kind] = Kind.CPU
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("tag",),)

    on_from: float = Field(4.0, description="Think-on from this difficulty where the answer can be verified.")
    on_from_unverifiable: float | None = Field(
        8.0, description="Think-on from this difficulty where it cannot; null is never."
    )

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and draft.choice is None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        if wish := draft.wish:
            return replace(draft, choice=ModeChoice(mode=wish, origin=ModeOrigin.DIRECTIVE))
        return replace(draft, choice=ModeChoice(mode=self._mode(draft), origin=ModeOrigin.ROUTE))

    def _mode(self, draft: Draft) -> Mode:
        if draft.summary is None:
            raise RecipeError("route_mode needs difficulties: put the stage tag before it, for the same categories")
        threshold = self.on_from if draft.summary.verifiable else self.on_from_unverifiable
        return Mode.ON if threshold is not None and draft.summary.difficulty >= threshold else Mode.OFF
