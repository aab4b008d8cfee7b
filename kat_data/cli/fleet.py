"""What the commands of a run share where the fleet's workers do the work."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import click

from kat_data.cli.output import say
from kat_data.cli.watch import watch_run
from kat_data.domain.states import RunState
from kat_data.errors import RunInterrupted, RunStopped
from kat_data.registry import runs
from kat_data.registry.session import Registry

_executor = click.option(
    "--executor",
    type=click.Choice(["local", "celery"]),
    default="local",
    show_default=True,
    help="Who does the work: this process, or the workers of `celery -A workers worker`.",
)
_detach = click.option("--detach", is_flag=True, help="With --executor celery: hand the run over, and do not wait.")


def executor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--executor` and `--detach` to a command."""
    return _executor(_detach(command))


def follow(registry: Registry, run: int) -> None:
    """Show a run of the fleet until it is finished; raises `RunStopped` where it stops.

    Ctrl-C leaves it: the run goes on without this process.
    """
    with _leaving() as leave:
        watch_run(registry, run, leave=leave)
    with registry.engine.begin() as connection:
        row = runs.get_run(connection, run)
    if row.state is RunState.OPEN:
        raise RunInterrupted(f"run {run} goes on: `kat runs watch {run}` shows it, `kat runs cancel {run}` ends it")
    if row.state is not RunState.FINISHED:
        raise RunStopped(f"run {run} is {row.state.value}: {row.reason}; go on with `kat runs resume {run}`")
    say(f"run {run} is finished")


@contextmanager
def _leaving() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets, in place of ending the process."""
    leave = Event()
    before = {name: signal.signal(name, lambda *_: leave.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield leave
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
