"""Deduplicate (§4.1.2): of queries that are alike but for a few words, one stays in the run."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.stages.stage import Kind, Stage, Tools

LEAST = 0.7
"""The least similarity at which pairs are looked for."""

Least = Annotated[float, Field(ge=LEAST, le=1)]
_SHOWN = 12


class Scope(StrEnum):
    """Where a query's duplicates are looked for."""

    REGISTRY = "registry"
    RUN = "run"


class Deduplicate(Stage):
    """Drop queries that another one represents: of the whole registry, or of the same run."""

    name: ClassVar[str] = "deduplicate"
    kind: ClassVar[Kind] = Kind.CPU
    per_turn: ClassVar[bool] = False

    scope: Scope = Field(
        Scope.REGISTRY,
        description="registry: the duplicate stays that was compared first of all queries; run: one of the run's own.",
    )
    threshold: Least = Field(LEAST, description="The least similarity (Jaccard, of word triples) of two duplicates.")
    thresholds: dict[Category, Least] = Field(
        {}, description="The same for single categories; between two, the higher one counts."
    )

    @property
    def as_stored(self) -> bool:
        """Whether the options are those by which the registry keeps its clusters."""
        return self.scope is Scope.REGISTRY and {self.threshold, *self.thresholds.values()} == {LEAST}

    def least(self, *categories: Category) -> float:
        """Return from which similarity on queries of these categories are duplicates."""
        return max(self.thresholds.get(category, self.threshold) for category in categories)

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        found = tools.index.near_duplicate(draft.query)
        if found is None:
            return draft
        kept, nearest = found.representative[:_SHOWN], found.nearest[:_SHOWN]
        through = "" if nearest == kept else f", through {nearest}"
        detail = f"of query {kept}{through}: similarity {found.similarity:.2f}"
        return Dropped(reason=DropReason.NEAR_DUPLICATE, detail=detail)
