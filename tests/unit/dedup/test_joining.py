from collections.abc import Iterable, Sequence

from kat_data.dedup.cluster import Member
from kat_data.dedup.joining import Settled, joinings
from kat_data.domain.duplicate import Joining, Standing

NOTHING = Settled(query=0, cluster=0)


def by_length(ids: Sequence[int]) -> Iterable[Member]:
    """Longer ones have higher ids, so the rule picks the highest."""
    return [Member(id=id_, has_reference=False, length=id_, hash=b"") for id_ in ids]


def joined(pairs: list[tuple[int, int]], standings: dict[int, Standing], settled: Settled = NOTHING) -> list[Joining]:
    return list(joinings(pairs, standings, settled, by_length))


def standing(cluster: int, representative: int) -> Standing:
    return Standing(cluster=cluster, representative=representative)


def test_a_new_cluster_is_represented_by_the_rule():
    assert joined([(1, 2), (2, 3), (8, 9)], {}) == [
        Joining(clusters=(), representative=3, members=(1, 2, 3)),
        Joining(clusters=(), representative=9, members=(8, 9)),
    ]


def test_within_a_pass_a_better_one_takes_over():
    assert joined([(2, 7)], {2: standing(5, 4)}) == [Joining(clusters=(5,), representative=7, members=(2, 7))]


def test_a_settled_cluster_keeps_its_representative():
    settled = Settled(query=6, cluster=5)
    assert joined([(2, 7)], {2: standing(5, 4)}, settled)[0].representative == 4


def test_a_settled_query_goes_before_later_ones():
    assert joined([(2, 7), (3, 8)], {}, Settled(query=6, cluster=0)) == [
        Joining(clusters=(), representative=2, members=(2, 7)),
        Joining(clusters=(), representative=3, members=(3, 8)),
    ]
    assert joined([(2, 7), (3, 7)], {}, Settled(query=6, cluster=0))[0].representative == 3


def test_merged_clusters_keep_the_oldest_ones_representative():
    standings = {2: standing(5, 4), 3: standing(1, 3)}
    assert joined([(2, 9), (3, 9)], standings, Settled(query=6, cluster=5)) == [
        Joining(clusters=(1, 5), representative=3, members=(2, 3, 9))
    ]
    # cluster 5 was made in this pass, though its representative is of an earlier one
    assert joined([(2, 9)], {2: standing(5, 4)}, Settled(query=6, cluster=1))[0].representative == 4


def test_batches_of_one_pass_end_where_one_batch_would():
    pairs = [(4, 11), (5, 12), (11, 12)]
    settled = Settled(query=6, cluster=3)
    whole = joined(pairs, {}, settled)[0].representative
    standings = {4: standing(9, 4), 11: standing(9, 4), 5: standing(8, 5), 12: standing(8, 5)}
    last = joined(pairs[2:], {id_: standings[id_] for id_ in (11, 12)}, settled)[0].representative
    assert whole == last == 5
