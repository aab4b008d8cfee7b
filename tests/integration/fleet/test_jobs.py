"""Snapshots built by the fleet: real nodes, which are killed and ended in the midst of it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.job import JobKind, JobState
from kat_data.domain.states import RunState
from kat_data.executors.jobs import ask
from kat_data.executors.local import execute_run
from kat_data.pipeline.publish import publication, publish_run
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import jobs
from kat_data.registry.jobs import JobRow
from kat_data.settings import Settings
from kat_data.snapshots.folder import exclusive
from kat_data.snapshots.verify.verify import verify

pytestmark = pytest.mark.integration

Plain = dict[str, Any]
READING = "ACCESS EXCLUSIVE"
NOTING = "SHARE"


class Desk:
    """What a test does with the jobs of its fleet."""

    def __init__(self, fleet: Any, run: int) -> None:
        self.fleet = fleet
        self.run = run
        self.wanted = {"run": run, "name": None, "partial": False, "root": None}

    def ask(self, **parts: Any) -> int:
        settings = Settings.load(self.fleet.environ)
        return ask(self.fleet.registry, settings, JobKind.SNAPSHOT, self.wanted | parts).id

    def create(self, *options: object, code: int = 0) -> Any:
        """Return the command's document, or what it said on stderr where it has to fail."""
        return self.fleet.kat("snapshots", "create", "--run", self.run, *options, code=code)

    def show(self, job: int) -> JobRow:
        with self.fleet.registry.engine.connect() as connection:
            return jobs.get_job(connection, job)

    def folders(self) -> list[str]:
        """Everything in the folder of the snapshot, hidden or not."""
        return sorted(path.name for path in (self.fleet.home / "snapshots" / "lean").iterdir())

    def done(self, job: int) -> JobRow:
        """Return a job once it is open no more."""
        self.fleet.until(lambda: self.show(job).state is not JobState.OPEN, lambda: f"its end\n{self.fleet.said()}")
        return self.show(job)

    @contextmanager
    def stuck_when(self, lock: str) -> Iterator[None]:
        """Let every snapshot wait when it looks for known versions, or once it is written and is to be noted."""
        with self.fleet.registry.connection() as connection:
            connection.execute(f"LOCK TABLE snapshots IN {lock} MODE")
            yield

    def stuck(self) -> None:
        """Wait until somebody waits for the lock."""
        sql = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'snapshots'::regclass"
        self.fleet.until(lambda: self.fleet.ask(sql), lambda: f"a snapshot under way\n{self.fleet.said()}")


@pytest.fixture
def desk(fleet: Any, add_queries: Callable[..., None]) -> Desk:
    """A finished run, and the jobs that are asked for it."""
    add_queries(*fleet.easy(8))
    row, _ = open_run(fleet.registry, parse_recipe(fleet.recipe(), "recipe.yaml"))
    assert asyncio.run(execute_run(fleet.registry, row)).state is RunState.FINISHED
    return Desk(fleet, row.id)


def test_a_worker_builds_what_the_command_builds(desk: Desk, tmp_path: Path) -> None:
    run = desk.fleet.submit(desk.fleet.recipe(seed=6))  # which is not for this node
    desk.fleet.node("kat.io")
    built = desk.create("--executor", "celery")
    assert (built["snapshot"], built["rows"], built["existed"]) == ("lean@1", 8, False)
    assert built["path"] == str(desk.fleet.home / "snapshots" / "lean" / "1")
    assert verify(Path(built["path"])).ok
    root, clock = tmp_path / "here", SystemClock()
    here = publish_run(desk.fleet.registry, root, desk.run, name=None, partial=False, clock=clock)
    assert publication(here) == built | {"path": str(root / "lean" / "1")}
    assert desk.done(desk.ask()).result == built | {"existed": True}
    elsewhere = desk.done(desk.ask(root=str(tmp_path / "elsewhere"))).result
    assert elsewhere == built | {"path": str(tmp_path / "elsewhere" / "lean" / "1")}
    assert desk.fleet.ask("SELECT count(*) FROM workers WHERE run_id = %s", run) == [(0,)]
    assert "Traceback" not in desk.fleet.said()


def test_what_is_asked_for_twice_is_done_once(desk: Desk) -> None:
    detached = desk.create("--executor", "celery", "--detach")
    assert detached == {"job": desk.ask(), "state": "open"}
    desk.fleet.node("kat.io", processes=2)
    assert desk.done(detached["job"]).result["snapshot"] == "lean@1"
    assert desk.fleet.ask("SELECT sum(attempts), count(*) FROM jobs") == [(1, 1)]


@pytest.mark.parametrize(("lock", "left"), [(READING, None), (NOTING, [".kat-build"])])
def test_a_worker_that_is_killed_leaves_the_job_to_another(desk: Desk, lock: str, left: list[str] | None) -> None:
    node = desk.fleet.node("kat.io")
    with desk.stuck_when(lock):
        job = desk.ask()
        desk.stuck()
        first = desk.show(job).worker
        node.kill()
        if left is None:
            assert not (desk.fleet.home / "snapshots").exists()
        else:
            assert desk.folders() == left
    desk.fleet.node("kat.io")
    found = desk.done(job)
    assert (found.state, found.attempts) == (JobState.DONE, 2)
    assert found.worker not in (first, None)
    assert desk.folders() == ["1"]
    assert verify(Path(found.result["path"])).ok
    assert desk.fleet.ask("SELECT count(*) FROM snapshot_rows") == [(8,)]


def test_a_node_that_is_ended_leaves_the_job_to_another(desk: Desk) -> None:
    node = desk.fleet.node("kat.io")
    with desk.stuck_when(READING):
        job = desk.ask()
        desk.stuck()
        assert node.end() == 0
    left = desk.show(job)
    assert (left.state, left.attempts, left.worker) == (JobState.OPEN, 0, None)
    desk.fleet.node("kat.io")
    assert desk.done(job).attempts == 1
    assert "Traceback" not in desk.fleet.said()


def test_a_folder_in_which_another_process_writes_is_waited_for(desk: Desk) -> None:
    node = desk.fleet.node("kat.io")
    with exclusive(desk.fleet.home / "snapshots" / "lean"):
        job = desk.ask()
        desk.fleet.until(lambda: "job.waits" in node.said, "the wait")
        assert desk.show(job).state is JobState.OPEN
    assert desk.done(job).attempts == 1


def test_a_job_whose_wake_up_was_lost_is_found_and_its_error_told(desk: Desk) -> None:
    (desk.fleet.home / "snapshots").write_text("a file where a folder should be")
    with desk.fleet.registry.engine.begin() as connection:
        job = jobs.ask(connection, JobKind.SNAPSHOT, desk.wanted).id
    desk.fleet.node()
    found = desk.done(job)
    assert (found.state, found.attempts) == (JobState.FAILED, 1)
    said = desk.create("--executor", "celery", code=6)
    assert said.splitlines()[-1] == f"kat: {found.error}"
    assert "cannot write in" in said
