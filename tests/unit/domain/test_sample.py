"""Samples: the label by which mixtures balance transitions between modes."""

from dataclasses import replace

from kat_data.domain.mode import Mode, Transition
from kat_data.testing import a_sample


def test_a_sample_knows_how_its_modes_go_on() -> None:
    [off] = a_sample().turns
    on = replace(off, mode=Mode.ON, thinking="6 * 7 = 42")
    assert (a_sample(off).transitions, a_sample(off).switches) == ((), False)
    assert (a_sample(on, on).transitions, a_sample(on, on).switches) == ((Transition.ON_ON,), False)
    switching = a_sample(off, on, off)
    assert (switching.transitions, switching.switches) == ((Transition.OFF_ON, Transition.ON_OFF), True)
    assert switching.mode is Mode.OFF
