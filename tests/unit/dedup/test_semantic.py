"""Semantic clusters: planted groups are found, through the cells too, and the nearest to the centre represents them."""

import numpy as np
import pytest

from kat_data.dedup import semantic
from kat_data.dedup.semantic import cluster


def planted(groups: int, size: int, *, dimension: int = 64, noise: float = 0.3, seed: int = 1):
    """Return vectors in groups about centres that share some topics, shuffled, with the group of each."""
    draws = np.random.default_rng(seed)
    topics = draws.normal(size=(12, dimension))
    centres = topics[draws.integers(0, 12, groups)] + 1.2 * draws.normal(size=(groups, dimension))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    group = draws.permutation(np.repeat(np.arange(groups), size))
    vectors = centres[group] + noise * draws.normal(size=(len(group), dimension)) / np.sqrt(dimension)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), group


def pairs_found(representative, group) -> tuple[float, float]:
    """Return recall and precision over pairs of one group."""

    def pairs(labels) -> int:
        counts = np.unique(labels, return_counts=True)[1]
        return int((counts * (counts - 1) // 2).sum())

    both = pairs(representative * (group.max() + 1) + group)
    return both / pairs(group), both / pairs(representative)


def test_groups_are_found_exactly_in_one_cell() -> None:
    vectors, group = planted(300, 4)
    found = cluster(vectors, 0.85)
    assert pairs_found(found.representative, group) == (1.0, 1.0)
    assert (found.representative[found.representative] == found.representative).all()


def test_borders_of_cells_part_few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "EXACT", 100)
    vectors, group = planted(3000, 3)
    recall, precision = pairs_found(cluster(vectors, 0.85).representative, group)
    assert recall > 0.995
    assert precision == 1.0


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = planted(80, 5)
    whole = cluster(vectors, 0.85)
    monkeypatch.setattr(semantic, "_BLOCK", 7)
    cut = cluster(vectors, 0.85)
    assert (cut.representative == whole.representative).all()
    assert np.allclose(cut.similarity, whole.similarity, atol=1e-3)


def test_the_representative_is_nearest_to_the_centre() -> None:
    angles = np.deg2rad([0, 10, 18, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    found = cluster(vectors, 0.9)
    assert found.representative.tolist() == [1, 1, 1, 3]
    centre = np.array([np.cos(angles[:3]).sum(), np.sin(angles[:3]).sum()])
    expected = vectors[:3].astype(float) @ (centre / np.linalg.norm(centre))
    assert np.allclose(found.similarity, [*expected, 1.0], atol=2e-3)


def test_a_vector_joins_the_nearest_of_the_leaders_it_reaches() -> None:
    angles = np.deg2rad([0, 40, 25])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    found = cluster(vectors, np.cos(np.deg2rad(30)))
    assert found.representative[2] == found.representative[1] != found.representative[0]


def test_equal_vectors_are_one_cluster_of_the_first() -> None:
    vectors = np.tile(np.array([[0.6, 0.8]], np.float16), (5000, 1))
    assert set(cluster(vectors, 0.99).representative.tolist()) == {0}


def test_nothing_and_one_are_clusters_too() -> None:
    assert cluster(np.zeros((0, 8), np.float16), 0.9).representative.tolist() == []
    assert cluster(np.eye(1, 8, dtype=np.float16), 0.9).representative.tolist() == [0]
