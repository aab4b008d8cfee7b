import numpy as np
import pytest

from trainers.intervals import difference, estimate, wilson


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    held = 0
    for trial in range(200):
        rates = random.beta(2, 2, 80)  # items differ, and answers to one item hang together
        values = [float(random.random() < rate) for rate in rates for _ in range(4)]
        found = estimate(values, [item for item in range(80) for _ in range(4)], seed=trial)
        assert found is not None
        held += found.low <= 0.5 <= found.high
    assert 180 <= held <= 199


def test_answers_to_one_item_narrow_nothing() -> None:
    once = estimate([0.0, 1.0] * 50, range(100))
    often = estimate(
        [value for value in [0.0, 1.0] * 50 for _ in range(10)], [i for i in range(100) for _ in range(10)]
    )
    assert once is not None
    assert often is not None
    assert (often.n, often.items) == (1_000, 100)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.01)


def test_a_clean_sheet_leaves_doubt_and_nothing_gives_nothing() -> None:
    found = estimate([1.0] * 50, range(50))
    assert found is not None
    assert (found.mean, found.high) == pytest.approx((1.0, 1.0))
    assert found.low == pytest.approx(wilson(1.0, 50)[0])
    assert found.low < 0.95
    assert estimate([], []) is None


def test_a_paired_difference_is_narrower_than_the_two_alone() -> None:
    random = np.random.default_rng(2)
    skill = random.random(500)
    before = [float(random.random() < s) for s in skill]
    after = [max(old, float(random.random() < 0.1)) for old in before]
    found = difference(before, range(500), after, range(500))
    alone = estimate(after, range(500))
    assert alone is not None
    assert found.mean == pytest.approx(np.mean(after) - np.mean(before))
    assert 0 < found.low < found.mean < found.high
    assert found.high - found.low < alone.high - alone.low


def test_a_difference_is_of_the_items_that_both_have() -> None:
    found = difference([0.0, 1.0], [1, 2], [1.0, 0.0, 1.0], [1, 3, 1])
    assert (found.mean, found.items) == (1.0, 1)
    with pytest.raises(ValueError, match="share no item"):
        difference([0.0], [1], [0.0], [2])
