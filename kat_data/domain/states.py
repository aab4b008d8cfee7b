"""The states of runs and work items, and the only moves between them."""

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands; `stopped` carries a reason and can be resumed."""

    OPEN = "open"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class ItemState(StrEnum):
    """Where one query of one run stands.

    A leased item is `ready` with a live lease; a `held` one waits until the whole set has been looked at.
    """

    READY = "ready"
    HELD = "held"
    ACCEPTED = "accepted"
    DROPPED = "dropped"
    DEAD = "dead"


RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.OPEN: frozenset({RunState.STOPPED, RunState.CANCELLED, RunState.FINISHED}),
    RunState.STOPPED: frozenset({RunState.OPEN, RunState.CANCELLED}),
    RunState.CANCELLED: frozenset({RunState.OPEN}),
    RunState.FINISHED: frozenset({RunState.OPEN}),
}

ITEM_MOVES: dict[ItemState, frozenset[ItemState]] = {
    ItemState.READY: frozenset({ItemState.HELD, ItemState.ACCEPTED, ItemState.DROPPED, ItemState.DEAD}),
    ItemState.HELD: frozenset({ItemState.READY, ItemState.DROPPED}),
    ItemState.ACCEPTED: frozenset(),
    # Once there is a sandbox for whose want it was dropped, or its withdrawal is undone.
    ItemState.DROPPED: frozenset({ItemState.READY, ItemState.HELD}),
    ItemState.DEAD: frozenset({ItemState.READY, ItemState.DROPPED}),
}
