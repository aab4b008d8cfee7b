"""Cluster (§4.1.2): of general queries that mean nearly the same, a run keeps a few."""

from typing import ClassVar, Literal

from pydantic import Field

from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.stages.stage import Kind, Stage, Tools

_SHOWN = 80


class ClusterQueries(Stage):
    """Keep so many queries of each semantic cluster of the run, and drop the others.

    The clusters are found before the run's first item is worked on; this stage makes no call.
    """

    name: ClassVar[str] = "cluster"
    kind: ClassVar[Kind] = Kind.CPU
    roles: ClassVar[tuple[str, ...]] = ("embedder",)
    per_turn: ClassVar[bool] = False

    only: tuple[Category, ...] = (Category.GENERAL,)
    threshold: float = Field(
        0.85, gt=0, le=1, description="Queries whose embeddings have this cosine or more are of one cluster."
    )
    per_cluster: int = Field(1, ge=1, description="How many queries of a cluster the run keeps.")
    pick: Literal["nearest", "random"] = Field(
        "nearest", description="Which are kept: those nearest to the centre, or some by the recipe's seed."
    )

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        crowding = tools.index.crowding(draft.query)
        if crowding is None:
            return draft
        said = (
            f"number {crowding.rank} of {crowding.size}, {crowding.similarity:.2f} to the centre, with: "
            f"{' '.join(crowding.representative.split())[:_SHOWN]}"
        )
        return Dropped(reason=DropReason.CROWDED_CLUSTER, detail=said)
