"""What stages may know of the whole registry, read once at the start of a run.

What is held grows with the queries that a stage will drop, not with the run: about 0.3 kB for a crowded one, 0.45 kB
for a near-duplicate, 0.6 kB for one that holds a benchmark's item. Rows are streamed, recurring texts are held once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kat_data.domain.contamination import Contamination
from kat_data.domain.crowding import Crowding
from kat_data.domain.duplicate import NearDuplicate
from kat_data.domain.query import Query
from kat_data.pipeline.decontamination import check_queries
from kat_data.registry import benchmarks
from kat_data.registry.embeddings import crowding_of_run
from kat_data.registry.session import Registry
from kat_data.stages.cluster import ClusterQueries
from kat_data.stages.decontaminate import Decontaminate
from kat_data.stages.deduplicate import Deduplicate
from kat_data.stages.stage import Stage


class RegistryLook:
    """Answers stages from what was read; it holds what is known of one run's queries, by their hashes."""

    def __init__(
        self,
        contamination: Mapping[bytes, tuple[Contamination, ...]],
        near_duplicates: Mapping[bytes, NearDuplicate] | None = None,
        crowding: Mapping[bytes, Crowding] | None = None,
    ) -> None:
        self._contamination = contamination
        self._near_duplicates = near_duplicates or {}
        self._crowding = crowding or {}

    def contamination(self, query: Query) -> tuple[Contamination, ...]:
        """Return the benchmarks' items that the query holds and nobody allowed, the surest first."""
        return self._contamination.get(query.hash, ())

    def near_duplicate(self, query: Query) -> NearDuplicate | None:
        """Return the query that stays in place of this one; none where it stays itself."""
        return self._near_duplicates.get(query.hash)

    def crowding(self, query: Query) -> Crowding | None:
        """Return the semantic cluster of the run in which the query is one too many; none where it stays."""
        return self._crowding.get(query.hash)


def look(
    registry: Registry, run: int, stages: Sequence[Stage], *, seed: int = 0, home: Path | None = None
) -> RegistryLook:
    """Bring the registry up to date with what the stages ask of it, and read what they need for one run.

    Semantic clusters need calls, and so are there already (`clustering.cluster_run`). Raises `UserError` where a stage
    asks for benchmarks and there are none. `home` is where bulks of near-duplicates are looked up (`compare_queries`).
    """
    contamination: Mapping[bytes, tuple[Contamination, ...]] = {}
    near_duplicates: Mapping[bytes, NearDuplicate] = {}
    crowding: Mapping[bytes, Crowding] = {}
    for stage in stages:
        match stage:
            case Decontaminate():
                contamination = contamination_of_run(registry, run)
            case Deduplicate():
                near_duplicates = near_duplicates_of_run(registry, run, stage, home)
            case ClusterQueries():
                with registry.engine.connect() as connection:
                    crowding = crowding_of_run(
                        connection, run, per_cluster=stage.per_cluster, pick=stage.pick, seed=seed
                    )
            case _:
                pass
    return RegistryLook(contamination, near_duplicates, crowding)


def contamination_of_run(registry: Registry, run: int) -> Mapping[bytes, tuple[Contamination, ...]]:
    """Check what was not checked yet, and return the hits of a run's queries by hash."""
    check_queries(registry)
    with registry.engine.connect() as connection:
        return benchmarks.hits_of_run(connection, run)


def near_duplicates_of_run(
    registry: Registry, run: int, stage: Deduplicate, home: Path | None = None
) -> Mapping[bytes, NearDuplicate]:
    """Compare what was not compared yet, and return the run's queries that others stay for, by hash."""
    from kat_data.pipeline.deduplication import compare_queries  # numpy loads with it
    from kat_data.pipeline.duplicates import duplicates_of_run

    compare_queries(registry, home=home)
    return duplicates_of_run(registry, run, stage)
