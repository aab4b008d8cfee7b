"""Transitions: how modes go on from turn to turn."""

import pytest

from kat_data.domain.mode import Mode, Switches, Transition, switches, transitions


def test_every_two_turns_that_follow_each_other_have_a_transition() -> None:
    modes = (Mode.OFF, Mode.OFF, Mode.ON, Mode.ON, Mode.OFF)
    assert transitions(modes) == (Transition.OFF_OFF, Transition.OFF_ON, Transition.ON_ON, Transition.ON_OFF)
    assert transitions(modes[:1]) == transitions(()) == ()


@pytest.mark.parametrize(
    ("modes", "found"),
    [
        ((), None),
        ((Mode.ON,), None),
        ((Mode.ON, Mode.ON), Switches.NO),
        ((Mode.OFF, Mode.OFF, Mode.OFF), Switches.NO),
        ((Mode.OFF, Mode.ON), Switches.YES),
        ((Mode.ON, Mode.OFF, Mode.ON), Switches.YES),
    ],
)
def test_a_conversation_switches_where_any_mode_changes(modes: tuple[Mode, ...], found: Switches | None) -> None:
    assert switches(modes) is found
