"""Decontaminate (§4.1.2): a query that holds an item of a benchmark leaves the run."""

from typing import ClassVar

from pydantic import Field

from kat_data.domain.contamination import Contamination
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.stages.stage import Kind, Stage, Tools

_SHOWN = 80


class Decontaminate(Stage):
    """Drop queries that hold an item of a benchmark, unless a person allowed them."""

    name: ClassVar[str] = "decontaminate"
    kind: ClassVar[Kind] = Kind.CPU
    per_turn: ClassVar[bool] = False

    benchmarks: tuple[str, ...] = Field(
        (), description="The benchmarks that count; all of the registry's where the list is empty."
    )

    def counts(self, hit: Contamination) -> bool:
        """Whether the recipe minds the hit's benchmark."""
        return not self.benchmarks or hit.benchmark in self.benchmarks

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        hits = [hit for hit in tools.index.contamination(draft.query) if self.counts(hit)]
        if not hits:
            return draft
        hit = hits[0]
        said = f"{hit.kind.value} match with {hit.benchmark}, line {hit.line}: {hit.item[:_SHOWN]}"
        return Dropped(reason=DropReason.CONTAMINATED, detail=said)
