"""What stages may know of the whole registry, read once at the start of a run."""

from collections.abc import Mapping, Sequence

from kat_data.domain.contamination import Contamination
from kat_data.domain.duplicate import NearDuplicate
from kat_data.domain.query import Query
from kat_data.pipeline.decontamination import check_queries
from kat_data.registry import benchmarks
from kat_data.registry.session import Registry
from kat_data.stages.decontaminate import Decontaminate
from kat_data.stages.deduplicate import Deduplicate
from kat_data.stages.stage import Stage


class RegistryLook:
    """Answers stages from what was read; it holds what is known of one run's queries, by their hashes."""

    def __init__(
        self,
        contamination: Mapping[bytes, tuple[Contamination, ...]],
        near_duplicates: Mapping[bytes, NearDuplicate] | None = None,
    ) -> None:
        self._contamination = contamination
        self._near_duplicates = near_duplicates or {}

    def contamination(self, query: Query) -> tuple[Contamination, ...]:
        """Return the benchmarks' items that the query holds and nobody allowed, the surest first."""
        return self._contamination.get(query.hash, ())

    def near_duplicate(self, query: Query) -> NearDuplicate | None:
        """Return the query that stays in place of this one; none where it stays itself."""
        return self._near_duplicates.get(query.hash)


def look(registry: Registry, run: int, stages: Sequence[Stage]) -> RegistryLook:
    """Bring the registry up to date with what the stages ask of it, and read what they need for one run.

    Raises `UserError` where a stage asks for benchmarks and there are none.
    """
    contamination: Mapping[bytes, tuple[Contamination, ...]] = {}
    near_duplicates: Mapping[bytes, NearDuplicate] = {}
    for stage in stages:
        match stage:
            case Decontaminate():
                contamination = _contamination(registry, run)
            case Deduplicate():
                near_duplicates = _near_duplicates(registry, run, stage)
            case _:
                pass
    return RegistryLook(contamination, near_duplicates)


def _contamination(registry: Registry, run: int) -> Mapping[bytes, tuple[Contamination, ...]]:
    check_queries(registry)
    with registry.engine.connect() as connection:
        return benchmarks.hits_of_run(connection, run)


def _near_duplicates(registry: Registry, run: int, stage: Deduplicate) -> Mapping[bytes, NearDuplicate]:
    from kat_data.pipeline.deduplication import compare_queries  # numpy loads with it
    from kat_data.pipeline.duplicates import duplicates_of_run

    compare_queries(registry)
    return duplicates_of_run(registry, run, stage)
