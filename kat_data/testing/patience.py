"""Waiting for what other processes do: look until it is there, and say what was missing."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE_SECONDS = 180.0
"""How long a test waits on a busy machine before it gives up; on a quiet one it waits for next to nothing."""


def until(found: Callable[[], Found], what: str | Callable[[], str], *, seconds: float = PATIENCE_SECONDS) -> Found:
    """Look until something is found, and return it; raises AssertionError, which says `what`, after `seconds`.

    Where an event loop must go on meanwhile: `await asyncio.to_thread(until, …)`.
    """
    give_up = time.monotonic() + seconds
    while not (seen := found()):
        if time.monotonic() > give_up:
            raise AssertionError(f"in vain for {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.05)
    return seen
