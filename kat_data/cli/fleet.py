"""What commands share where the fleet's workers do the work."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from threading import Event, Thread
from typing import Any

import click
import psycopg

from kat_data.cli.output import say
from kat_data.cli.tracked import rows_bar
from kat_data.cli.watch import watch_run
from kat_data.domain.job import JobState
from kat_data.domain.states import RunState
from kat_data.errors import RunInterrupted, UserError, stop_of
from kat_data.registry import jobs, runs
from kat_data.registry.jobs import JobRow
from kat_data.registry.session import Registry

NOBODY_SECONDS = 10.0
NOBODY = (
    "nobody has taken up run {run}: start workers with `celery -A workers worker`. If they run, their logs say why "
    "they leave it, such as a key that is not set there; `kat doctor` looks at the rest"
)
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 5.0  # for a worker, before we say how one is started

_executor = click.option(
    "--executor",
    type=click.Choice(["local", "celery"]),
    default="local",
    show_default=True,
    help="Who does the work: this process, or the workers of `celery -A workers worker`.",
)
_detach = click.option("--detach", is_flag=True, help="With --executor celery: hand the work over, and do not wait.")


def executor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--executor` and `--detach` to a command; the latter goes with the fleet alone."""

    @wraps(command)
    def checked(*args: Any, executor: str, detach: bool, **others: Any) -> Any:
        if detach and executor != "celery":
            raise UserError("--detach goes with --executor celery: this process would do the work itself")
        return command(*args, executor=executor, detach=detach, **others)

    return _executor(_detach(checked))


def follow(registry: Registry, run: int) -> None:
    """Show a run of the fleet until it is finished; raises `RunStopped` where it stops.

    Ctrl-C leaves it: the run goes on without this process.
    """
    with _leaving() as leave, _advised(registry, run):
        watch_run(registry, run, leave=leave)
    with registry.engine.begin() as connection:
        row = runs.get_run(connection, run)
    if row.state is RunState.OPEN:
        raise RunInterrupted(f"run {run} goes on: `kat runs watch {run}` shows it, `kat runs cancel {run}` ends it")
    if row.state is not RunState.FINISHED:
        raise stop_of(row.stopped_by)(f"run {run} stopped: {row.reason or row.state.value}")
    say(f"run {run} is finished")


@contextmanager
def _advised(registry: Registry, run: int) -> Iterator[None]:
    """Say once what to do where nobody takes the run up."""
    done = Event()

    def advise() -> None:
        if done.wait(NOBODY_SECONDS):
            return
        with suppress(psycopg.OperationalError), registry.engine.begin() as connection:
            if not runs.at_work(connection, run):
                say(NOBODY.format(run=run))

    Thread(target=advise, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def follow_job(registry: Registry, job: int) -> JobRow:
    """Say how a job goes until it is open no more, and return it; Ctrl-C leaves it, as `follow` does."""
    said, start = "", time.monotonic()
    with _leaving() as leave, rows_bar(f"job {job}") as tell:
        while True:
            with registry.engine.begin() as connection:
                row = jobs.get_job(connection, job)
            if row.state is not JobState.OPEN:
                return row
            if leave.is_set():
                raise RunInterrupted(
                    f"job {job} goes on: `kat jobs show {job}` shows it, `kat jobs cancel {job}` ends it"
                )
            if (line := _stand(row, time.monotonic() - start)) != said:
                said = line
                say(line)
            if row.progress:
                tell(*(row.progress[name] for name in ("step", "done", "total")))
            leave.wait(LOOK_SECONDS)


def progress_of(job: JobRow) -> str | None:
    """Return how far a job is that a worker is at work on, none where nobody knows."""
    if job.progress is None or job.state is not JobState.OPEN:
        return None
    return "{step} {done:,} of {total:,} rows".format(**job.progress)


def _stand(job: JobRow, seconds: float) -> str:
    if job.worker is not None:
        return f"job {job.id} ({job.kind}): worker {job.worker} is at work on it"
    if job.error:
        return f"job {job.id} ({job.kind}) waits for another try: {job.error}"
    hint = "; workers start with `celery -A workers worker`" if seconds > PATIENCE_SECONDS else ""
    return f"job {job.id} ({job.kind}) waits for a worker{hint}"


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
