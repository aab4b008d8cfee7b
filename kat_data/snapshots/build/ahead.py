"""Work ahead: what a generator yields is made in a thread, while the caller is at work on what it got before."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

_T = TypeVar("_T")


def ahead(items: Generator[_T, None, None]) -> Iterator[_T]:
    """Yield the items in order, the next being made meanwhile; what making one raises is raised in its place.

    Once this iterator is exhausted or closed, nothing is made any more, and the generator is closed.
    """
    with closing(items), ThreadPoolExecutor(1) as thread:
        making = thread.submit(_next, items)
        while made := making.result():
            making = thread.submit(_next, items)
            yield made[0]


def _next(items: Iterator[_T]) -> tuple[_T] | None:
    for item in items:
        return (item,)
    return None
