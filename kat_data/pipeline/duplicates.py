"""Which of a run's queries another one stands for, by the options of the stage `deduplicate`."""

from collections.abc import Mapping, Sequence

from kat_data.dedup.cluster import Clusters, Member, representative
from kat_data.domain.duplicate import NearDuplicate
from kat_data.pipeline.deduplication import member
from kat_data.registry import clusters, duplicates
from kat_data.registry.duplicates import PairRow
from kat_data.registry.session import Registry
from kat_data.stages.deduplicate import Deduplicate, Scope

_AT_ONCE = 4096


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
    members = _members(registry, sorted({id_ for pair in pairs for id_ in (pair.first, pair.second)}))
    return _left_out(pairs, members, stage.scope)


def _members(registry: Registry, ids: Sequence[int]) -> dict[int, Member]:
    """Return what the rule asks of these queries, whose texts would not fit into memory for a large run."""
    with clusters.open_connection(registry) as connection:
        return {
            id_: member(id_, query)
            for start in range(0, len(ids), _AT_ONCE)
            for id_, query in clusters.queries_of(connection, ids[start : start + _AT_ONCE]).items()
        }


def _left_out(pairs: Sequence[PairRow], members: Mapping[int, Member], scope: Scope) -> dict[bytes, NearDuplicate]:
    nearest: dict[int, tuple[float, int]] = {}
    for pair in pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            nearest[one] = max(nearest.get(one, (0.0, 0)), (pair.similarity, -other))
    stored = {pair.representative for pair in pairs}
    found = {}
    for ids in Clusters((pair.first, pair.second) for pair in pairs).members().values():
        kept = _kept(ids, members, stored, scope)
        for id_ in ids:
            if id_ != kept:
                similarity, other = nearest[id_]
                found[members[id_].hash] = NearDuplicate(
                    representative=members[kept].hash.hex(), nearest=members[-other].hash.hex(), similarity=similarity
                )
    return found


def _kept(ids: tuple[int, ...], members: Mapping[int, Member], stored: set[int], scope: Scope) -> int:
    if scope is Scope.RUN:
        return representative(members[id_] for id_ in ids).id
    return next((id_ for id_ in ids if id_ in stored), ids[0])
