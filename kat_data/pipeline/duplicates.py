"""Which of a run's queries another one stands for, by the options of the stage `deduplicate`."""

from collections.abc import Iterable, Mapping

from kat_data.dedup.cluster import Clusters, representative
from kat_data.domain.duplicate import NearDuplicate
from kat_data.domain.query import Query
from kat_data.pipeline.deduplication import member
from kat_data.registry import clusters, duplicates
from kat_data.registry.duplicates import PairRow
from kat_data.registry.session import Registry
from kat_data.stages.deduplicate import Deduplicate, Scope


def duplicates_of_run(registry: Registry, run: int, stage: Deduplicate) -> dict[bytes, NearDuplicate]:
    """Return by content hash the queries that leave a run, each with the one that stays in their place.

    The stored clusters say it for the whole registry. For a run alone, or where less counts as alike, clusters are made
    anew of the stored pairs: the run's own queries choose by the rule of `cluster.representative`, and the registry's
    keep the stored representative where it is still among them, else the query that came first.
    """
    with registry.engine.connect() as connection:
        if stage.as_stored:
            return duplicates.of_run(connection, run)
        rows = duplicates.pairs_of_run(connection, run, inside=stage.scope is Scope.RUN)
        pairs = [row for row in rows if row.similarity >= stage.least(*row.categories)]
    with clusters.open_connection(registry) as bare:
        queries = clusters.queries_of(bare, {id_ for pair in pairs for id_ in (pair.first, pair.second)})
    return _left_out(pairs, queries, stage.scope)


def _left_out(pairs: Iterable[PairRow], queries: Mapping[int, Query], scope: Scope) -> dict[bytes, NearDuplicate]:
    pairs = list(pairs)
    nearest: dict[int, tuple[float, int]] = {}
    for pair in pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            nearest[one] = max(nearest.get(one, (0.0, 0)), (pair.similarity, -other))
    stored = {pair.representative for pair in pairs}
    found = {}
    for ids in Clusters((pair.first, pair.second) for pair in pairs).members().values():
        kept = _kept(ids, queries, stored, scope)
        for id_ in ids:
            if id_ != kept:
                similarity, other = nearest[id_]
                found[queries[id_].hash] = NearDuplicate(
                    representative=queries[kept].hash, nearest=queries[-other].hash, similarity=similarity
                )
    return found


def _kept(ids: tuple[int, ...], queries: Mapping[int, Query], stored: set[int], scope: Scope) -> int:
    if scope is Scope.RUN:
        return representative(member(id_, queries[id_]) for id_ in ids).id
    return next((id_ for id_ in ids if id_ in stored), ids[0])
