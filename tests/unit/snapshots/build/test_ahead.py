"""Work ahead in a thread: the same items in order, the same errors, and an end when nobody asks any more."""

from collections.abc import Generator
from threading import Event, active_count

import pytest

from kat_data.snapshots.build.ahead import ahead


def test_items_come_in_order_while_the_next_is_made() -> None:
    made = [Event() for _ in range(4)]

    def items() -> Generator[int, None, None]:
        for number, event in enumerate(made):
            event.set()
            yield number

    found = []
    for number in ahead(items()):
        found.append(number)
        assert all(event.wait(10) for event in made[: number + 2])
    assert found == [0, 1, 2, 3]


def test_an_error_comes_in_its_place() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_closed_it_leaves_nothing_behind() -> None:
    closed, threads = [], active_count()

    def items() -> Generator[int, None, None]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    found = ahead(items())
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert (closed, active_count()) == ([True], threads)
