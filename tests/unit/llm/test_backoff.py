import random

from kat_data.llm.backoff import Backoff


def test_delays_stay_below_a_doubling_bound_and_use_all_of_it():
    backoff, rng = Backoff(first=0.5, longest=4.0), random.Random(7)
    for retry, bound in enumerate((0.5, 1.0, 2.0, 4.0, 4.0)):
        delays = [backoff.delay(retry, rng) for _ in range(500)]
        assert 0 <= min(delays) < 0.05 * bound
        assert 0.95 * bound < max(delays) <= bound


def test_the_same_seed_draws_the_same_delays():
    backoff = Backoff()
    assert [backoff.delay(n, random.Random(3)) for n in range(4)] == [
        backoff.delay(n, random.Random(3)) for n in range(4)
    ]
