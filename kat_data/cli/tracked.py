"""Progress on stderr: a bar around a loop, a clock beside a wait, or bars that are told."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import TaskID

T = TypeVar("T")


def tracked(items: Iterable[T], total: int | None, noun: str, *, done: int = 0) -> Iterator[T]:
    """Yield `items` while a bar on stderr counts them; `done` were done before."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(noun, total=total, completed=done)
        for item in items:
            yield item
            bar.advance(task)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on stderr, where it is a terminal, that something is under way and how long it has taken."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        yield


@contextmanager
def counting(noun: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, where it is a terminal, that is moved by telling how much of how much is done."""
    with _bars(transient=True) as tell:
        yield partial(tell, noun)


@contextmanager
def rows_bar(name: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each step of a command on stderr, where it is a terminal.

    It is moved by telling the step, the rows done and the rows in all.
    """
    with _bars(transient=False) as tell:
        yield lambda step, done, total: tell(f"{name}: {step} rows", done, total)


@contextmanager
def _bars(*, transient: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give what tells a bar by its name; nothing is shown before that, and none where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def tell(name: str, done: int, total: int) -> None:
        bar.start()
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total)
        bar.update(tasks[name], completed=done, total=total)

    try:
        yield tell
    finally:
        bar.stop()
