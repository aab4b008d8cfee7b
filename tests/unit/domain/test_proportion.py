import pytest

from kat_data.domain.proportion import wilson


# scipy.stats.binomtest(k, n).proportion_ci(method="wilson").
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(5, 10, 0.236593, 0.763407), (1, 10, 0.017876, 0.404150), (15, 148, 0.062386, 0.160487)],
)
def test_wilsons_interval(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=2e-6)


def test_the_ends_are_closed():
    assert wilson(0, 8)[0] == 0.0
    assert wilson(8, 8)[1] == 1.0
    assert 0.6 < wilson(8, 8)[0] < 0.7
    assert wilson(0, 0) == (0.0, 1.0)
