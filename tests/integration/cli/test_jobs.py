"""Jobs in the shell: asked for, followed, listed, shown, cancelled."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kat_data.cli import fleet
from kat_data.domain.job import JobKind
from kat_data.executors import embedded_broker
from kat_data.registry import jobs
from kat_data.registry.jobs import JobRow
from kat_data.registry.session import Registry

pytestmark = pytest.mark.integration

CREATE = ("snapshots", "create", "--run", 1, "--executor", "celery")


@pytest.fixture
def kat(kat: Any, tmp_path: Path) -> Iterator[Any]:
    """The shell, which may start an embedded broker."""
    yield kat
    embedded_broker.stop(tmp_path / "home")


@pytest.fixture
def asked(kat: Any, open_run: Callable[..., Any]) -> int:
    """A job that waits for a worker."""
    open_run()
    return int(kat.json(*CREATE, "--partial", "--detach", "--json")["job"])


@pytest.fixture
def claimed(registry: Registry, asked: int) -> JobRow:
    """The same job, which worker 7 is at work on."""
    with registry.engine.begin() as connection:
        job = jobs.claim(connection, JobKind.SNAPSHOT, 7)
    assert job is not None
    return job


def test_what_cannot_be_done_is_refused_before_it_is_asked_for(kat: Any, open_run: Callable[..., Any]) -> None:
    assert "no run 1" in kat.error(*CREATE, code=2)
    open_run()
    assert "run 1 is open: finish it" in kat.error(*CREATE, code=2)
    assert kat.json("jobs", "list", "--json") == []


def test_a_job_is_listed_shown_and_cancelled(kat: Any, asked: int) -> None:
    [listed] = kat.json("jobs", "list", "--json")
    assert listed == kat.json("jobs", "show", asked, "--json")
    assert (listed["kind"], listed["state"], listed["worker"]) == ("snapshot", "open", None)
    assert listed["arguments"] == {"run": 1, "name": None, "partial": True, "root": None}
    row = kat("jobs", "list").out
    assert "run 1, partial" in row
    assert "waits" in row
    assert kat.json("jobs", "cancel", asked, "--json") == {"job": asked, "state": "cancelled"}
    assert "is cancelled: only an open one" in kat.error("jobs", "cancel", asked, code=2)
    assert "no job 9" in kat.error("jobs", "show", 9, code=2)
    assert "cancelled" in kat("jobs", "show", asked).out


def test_the_same_job_is_the_open_one(kat: Any, asked: int) -> None:
    again = kat(*CREATE, "--partial", "--detach")
    assert f"job {asked} is with the workers" in again.err
    assert kat.json(*CREATE, "--partial", "--name", "other", "--detach", "--json")["job"] != asked


def test_who_works_on_it_and_what_it_brought_are_shown(kat: Any, registry: Registry, claimed: JobRow) -> None:
    assert "worker 7 is at work on it" in kat("jobs", "list").out
    with registry.engine.begin() as connection:
        jobs.finish(connection, claimed, result={"snapshot": "lean@1", "rows": 8})
    shown = kat("jobs", "show", claimed.id).out
    assert "lean@1" in shown
    assert "done" in shown


def test_ctrl_c_leaves_it_to_the_workers(
    registry: Registry, asked: int, kat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def interrupt(line: str) -> None:
        said.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(fleet, "say", interrupt)
    assert f"job {asked} goes on: `kat jobs show {asked}`" in kat.error(*CREATE, "--partial", code=3)
    assert said == [f"job {asked} (snapshot) waits for a worker"]
    assert kat.json("jobs", "show", asked, "--json")["state"] == "open"


def test_one_that_is_cancelled_while_it_is_followed(
    registry: Registry, asked: int, kat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel(_: str) -> None:
        with registry.engine.begin() as connection:
            jobs.cancel(connection, asked)

    monkeypatch.setattr(fleet, "say", cancel)
    assert f"job {asked} was cancelled" in kat.error(*CREATE, "--partial", code=6)


def test_progress_is_told_in_one_line_for_each_stand(
    registry: Registry, claimed: JobRow, kat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def go_on(line: str) -> None:
        said.append(line)
        with registry.engine.begin() as connection:
            if len(said) == 1:
                jobs.spoil(connection, claimed, "a defect: KeyError")
            else:
                jobs.cancel(connection, claimed.id)

    monkeypatch.setattr(fleet, "say", go_on)
    assert "was cancelled" in kat.error(*CREATE, "--partial", code=6)
    about = f"job {claimed.id} (snapshot)"
    assert said == [f"{about}: worker 7 is at work on it", f"{about} waits for another try: a defect: KeyError"]
