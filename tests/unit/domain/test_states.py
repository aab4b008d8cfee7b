"""States: each has its moves, and moves lead to states."""

from enum import StrEnum

import pytest

from kat_data.domain.states import ITEM_MOVES, RUN_MOVES, ItemState, RunState


@pytest.mark.parametrize(("states", "moves"), [(RunState, RUN_MOVES), (ItemState, ITEM_MOVES)])
def test_moves_are_closed_over_the_states(states: type[StrEnum], moves: dict[StrEnum, frozenset[StrEnum]]) -> None:
    assert set(moves) == set(states)
    assert all(set(targets) <= set(states) and state not in targets for state, targets in moves.items())
    first = next(iter(states))
    reached, edge = set(), {first}
    while edge:
        reached |= edge
        edge = {target for state in edge for target in moves[state]} - reached
    assert reached == set(states)


def test_what_is_accepted_stays_so_and_the_dead_can_be_retried() -> None:
    assert {state for state, targets in ITEM_MOVES.items() if not targets} == {ItemState.ACCEPTED}
    assert ItemState.READY in ITEM_MOVES[ItemState.DEAD]


def test_every_run_that_ended_can_be_opened_again() -> None:
    assert all(RunState.OPEN in RUN_MOVES[state] for state in RunState if state is not RunState.OPEN)
