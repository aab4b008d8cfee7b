"""Transitions: how modes go on from turn to turn."""

from kat_data.domain.mode import Mode, Transition, transitions


def test_every_two_turns_that_follow_each_other_have_a_transition() -> None:
    modes = (Mode.OFF, Mode.OFF, Mode.ON, Mode.ON, Mode.OFF)
    assert transitions(modes) == (Transition.OFF_OFF, Transition.OFF_ON, Transition.ON_ON, Transition.ON_OFF)
    assert transitions(modes[:1]) == transitions(()) == ()
