import pytest

from kat_data.domain.measurement import Trials, preferred_mode
from kat_data.domain.mode import Mode


def trials(correct, n, undecided=0):
    return Trials(n=n, correct=correct, undecided=undecided, tokens=0)


@pytest.mark.parametrize(
    ("off", "on", "margin", "mode"),
    [
        (trials(15, 20), trials(16, 20), 0.05, Mode.OFF),
        (trials(15, 20), trials(16, 20), 0.04, Mode.ON),
        (trials(15, 20), trials(17, 20), 0.05, Mode.ON),
        (trials(20, 20), trials(0, 20), 0.0, Mode.OFF),
        (trials(3, 3), trials(3, 3), 0.0, Mode.OFF),
        (trials(1, 4, undecided=3), trials(1, 2), 0.05, Mode.OFF),
        (trials(0, 4, undecided=4), trials(1, 4), 0.05, None),
        (trials(0, 0), trials(1, 4), 0.05, None),
    ],
)
def test_thinking_has_to_be_better_by_more_than_the_margin(off, on, margin, mode):
    assert preferred_mode(off, on, margin) is mode


def test_a_rate_is_over_what_was_decided_on():
    assert trials(1, 4, undecided=2).rate == 0.5
    assert trials(0, 2, undecided=2).rate is None
