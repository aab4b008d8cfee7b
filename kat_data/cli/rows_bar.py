"""A bar for rows that one command goes through, step by step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def rows_bar(name: str) -> Iterator[Callable[[str, int, int], None]]:
    """Give what tells the bar its step, the rows done and the rows in all; nothing is shown before that."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(f"{name}: {step} rows", total=total)
            bar.update(tasks[step], completed=done, total=total)

        yield tell
