"""What new pairs of near-duplicates make of the clusters that are there, and who represents them.

The rule. Of the queries that are compared in one pass, the one with a reference or verifier stays, then the longest,
then the one of the smallest hash. Afterwards it is settled: no query of a later pass displaces it, since samples of it
may have been paid for; likewise a query that had no duplicate when its pass ended goes before every later one. Where
clusters of earlier passes merge, the representative of the oldest one stays. So the outcome hangs on what was compared
in which pass, and neither on the order within a pass, nor on how it was cut into batches, nor on where it was killed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kat_data.dedup.cluster import Clusters, Member, representative
from kat_data.domain.duplicate import Joining, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What earlier passes settled: queries through one id, clusters through one number."""

    query: int
    cluster: int


def joinings(
    pairs: Iterable[tuple[int, int]],
    standings: Mapping[int, Standing],
    settled: Settled,
    members: Callable[[Sequence[int]], Iterable[Member]],
) -> Iterator[Joining]:
    """Yield the clusters that hold the queries of `pairs`.

    `standings` knows each of these queries that is in a cluster already; `members` looks queries up for the rule.
    """
    joined = Clusters(pairs)
    for query, standing in standings.items():
        joined.join(query, standing.representative)
    asked = set(standings) | {query for pair in pairs for query in pair}
    for ids in joined.members().values():
        old = {standings[id_].cluster: standings[id_].representative for id_ in ids if id_ in standings}
        yield Joining(
            clusters=tuple(sorted(old)),
            representative=_chosen(old, [id_ for id_ in ids if id_ not in standings], settled, members),
            members=tuple(id_ for id_ in ids if id_ in asked),
        )


def _chosen(
    old: Mapping[int, int],
    free: Sequence[int],
    settled: Settled,
    members: Callable[[Sequence[int]], Iterable[Member]],
) -> int:
    """Return who represents the clusters `old`, given with their representatives, and the `free` queries."""
    if (oldest := min(old, default=settled.cluster + 1)) <= settled.cluster:
        return old[oldest]
    eligible = sorted({*old.values(), *free})
    eligible = [id_ for id_ in eligible if id_ <= settled.query] or eligible
    return eligible[0] if len(eligible) == 1 else representative(members(eligible)).id
