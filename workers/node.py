"""What this process knows of the node that it belongs to, and its one attendance and bench."""

import mmap
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from threading import Lock

from kat_data.domain.job import JobKind
from kat_data.metrics.process import open_observer
from kat_data.registry.session import connect
from kat_data.sandbox.open import opener
from kat_data.settings import Settings
from kat_data.stages.stage import Kind
from workers.attendance import Attendance
from workers.jobs import Bench

kinds: tuple[Kind, ...] = tuple(Kind)
"""The kinds of stages that the node serves: those whose queues it consumes."""

jobs: tuple[JobKind, ...] = tuple(JobKind)
"""The kinds of jobs that the node serves."""

processes = 1
"""How many processes the node has."""

_ending = mmap.mmap(-1, 1)
"""A byte that the node's processes share, as they are forked after it was made: whether the node is to end."""


def serve(stages: Iterable[Kind], others: Iterable[JobKind], *, by: int) -> None:
    """Note which stages and jobs the node serves and by how many processes; they are forked after, and share cores."""
    global kinds, jobs, processes
    kinds, jobs, processes = tuple(stages), tuple(others), by


def end() -> None:
    """Tell every process of the node to take no more items, before Celery asks them to end."""
    _ending[0] = 1


def is_ending() -> bool:
    """Whether the node was asked to end."""
    return _ending[0] == 1


_making = Lock()
"""Held while the attendance or the bench is made, as several threads may have their first task at once."""


def attendance() -> Attendance:
    """Return this process's attendance, made with the first task: threads and connections do not survive a fork."""
    with _making:
        return _attendance()


@cache
def _attendance() -> Attendance:
    settings = _settings()
    return Attendance(
        lambda: connect(settings),
        kinds=kinds,
        open_sandbox=opener(settings),
        home=settings.home,
        is_ending=is_ending,
        observer=open_observer(settings.metrics_dir),
    )


def bench() -> Bench:
    """Return what this process does jobs with."""
    with _making:
        return _bench()


@cache
def _bench() -> Bench:
    settings = _settings()
    return Bench(
        open_registry=lambda: connect(settings),
        open_sandbox=opener(settings),
        home=settings.home,
        is_ending=is_ending,
    )


def leave() -> None:
    """End the attendance, if there is one: what it has under way is stored, and the rest given back."""
    if _attendance.cache_info().currsize:
        attendance().close()


def _settings() -> Settings:
    settings = Settings.load()
    if settings.origins["sandbox_slots"] == "default":
        settings = replace(settings, sandbox_slots=max(1, (os.cpu_count() or 1) // processes))
    return settings
