import random

import pytest

from kat_data.domain.rank import Correlation, ranks, spearman


def test_equal_values_share_their_mean_rank():
    assert ranks([10, 20, 20, 5, 20]) == [2.0, 4.0, 4.0, 1.0, 4.0]
    assert ranks([]) == []


# scipy.stats.spearmanr of the same numbers.
@pytest.mark.parametrize(
    ("xs", "ys", "rho"),
    [
        ([1, 2, 3, 4, 5], [5, 6, 7, 8, 7], 0.8207826816681233),
        ([1, 1, 2, 2, 3, 9], [0.9, 0.8, 0.8, 0.3, 0.4, 0.0], -0.835914007637145),
    ],
)
def test_rank_correlation_with_ties(xs, ys, rho):
    assert spearman(xs, ys).rho == pytest.approx(rho, abs=1e-12)


def test_only_the_order_counts():
    xs = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert spearman(xs, [x**9 for x in xs]) == Correlation(n=5, rho=1.0, low=1.0, high=1.0)
    assert spearman(xs, [-x for x in xs]).rho == -1.0


@pytest.mark.parametrize(("xs", "ys"), [([], []), ([1], [1]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2], [3, 3])])
def test_what_has_no_two_values_has_no_correlation(xs, ys):
    assert spearman(xs, ys) == Correlation(n=len(xs), rho=None)


def test_three_pairs_have_no_interval():
    assert spearman([1, 2, 3], [1, 3, 2]) == Correlation(n=3, rho=0.5)


def test_the_interval_covers_no_correlation_about_as_often_as_it_says():
    draw = random.Random(3)
    covered = 0
    for _ in range(300):
        found = spearman([draw.random() for _ in range(30)], [draw.random() for _ in range(30)])
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 300 <= 0.98
