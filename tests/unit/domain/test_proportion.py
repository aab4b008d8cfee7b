import pytest

from kat_data.domain.proportion import wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_wilsons_interval_is_the_published_one(hits, n, low, high):
    """The first is Newcombe's (1998) example, the others are Wilson's closed forms at the ends."""
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_of_nothing_nothing_is_known():
    assert wilson(0, 0) is None
