"""Samples: the mode by which mixtures count them."""

from dataclasses import replace

from kat_data.domain.mode import Mode
from kat_data.testing import a_sample


def test_a_sample_counts_by_the_mode_of_its_last_turn() -> None:
    [off] = a_sample().turns
    on = replace(off, mode=Mode.ON, thinking="6 * 7 = 42")
    assert (a_sample(on, off).mode, a_sample(off, on).mode) == (Mode.OFF, Mode.ON)
