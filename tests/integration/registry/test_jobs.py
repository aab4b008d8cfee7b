"""Jobs are asked for once, claimed by one worker at a time, and outlive their workers."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.job import JobKind, JobState
from kat_data.errors import NotFoundError, UserError
from kat_data.registry import jobs
from kat_data.registry.jobs import JobRow
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.registry.workforce import list_workers

pytestmark = pytest.mark.integration


class Desk:
    """The functions of `registry.jobs`, each in a transaction of its own."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self._registry.engine.begin() as connection:
                return getattr(jobs, name)(connection, *arguments, **options)

        return call

    def ask(self, run: int) -> JobRow:
        return self.__getattr__("ask")(JobKind.SNAPSHOT, {"run": run})

    def claim(self, worker: Worker) -> JobRow | None:
        return self.__getattr__("claim")(JobKind.SNAPSHOT, worker.id)

    def waiting(self) -> list[int]:
        return [job for job, _ in self.__getattr__("waiting")(tuple(JobKind))]

    def make_available(self) -> None:
        with self._registry.connection(autocommit=True) as connection:
            connection.execute("UPDATE jobs SET available_at = now()")

    def hang(self, worker: Worker) -> None:
        """Let the worker's heartbeat be older than a lease."""
        with self._registry.connection(autocommit=True) as connection:
            connection.execute("UPDATE workers SET seen_at = now() - interval '2 minutes' WHERE id = %s", [worker.id])


@pytest.fixture
def desk(registry: Registry) -> Desk:
    return Desk(registry)


@pytest.fixture
async def worker(registry: Registry) -> AsyncIterator[Worker]:
    async with await Worker.start(registry, SystemClock()) as worker:
        yield worker


@pytest.fixture
async def other(registry: Registry) -> AsyncIterator[Worker]:
    async with await Worker.start(registry, SystemClock()) as worker:
        yield worker


def test_what_is_asked_for_twice_is_open_once(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        first, second = ({job.id for job in pool.map(desk.ask, [run] * 16)} for run in (1, 2))
    assert (len(first), len(second)) == (1, 1)
    assert first != second
    assert len(desk.list_jobs(10)) == 2


async def test_what_is_done_can_be_asked_for_again(desk: Desk, worker: Worker) -> None:
    asked = desk.ask(1)
    assert (asked.state, asked.attempts, asked.worker, asked.arguments) == (JobState.OPEN, 0, None, {"run": 1})
    assert desk.finish(desk.claim(worker), result={"rows": 3})
    done = desk.get_job(asked.id)
    assert (done.state, done.result, done.error, done.worker) == (JobState.DONE, {"rows": 3}, None, worker.id)
    assert done.finished_at is not None
    again = desk.ask(1)
    assert again.id != asked.id
    assert [job.id for job in desk.list_jobs(1)] == [again.id]


async def test_the_oldest_goes_first_and_to_one_worker(
    registry: Registry, desk: Desk, worker: Worker, other: Worker
) -> None:
    asked = [desk.ask(run).id for run in (1, 2)]
    assert desk.waiting() == asked
    assert [desk.claim(worker).id, desk.claim(other).id] == asked
    assert desk.claim(other) is None
    assert desk.waiting() == []
    assert desk.ask(1).worker == worker.id  # it is open while it is worked on
    with registry.engine.connect() as connection:
        assert [(row.id, row.job) for row in list_workers(connection)] == [(worker.id, asked[0]), (other.id, asked[1])]


async def test_a_dead_workers_job_goes_to_another_and_is_lost_to_it(desk: Desk, worker: Worker, other: Worker) -> None:
    desk.ask(1)
    mine = desk.claim(worker)
    assert mine is not None
    assert desk.claim(other) is None
    desk.hang(worker)
    taken = desk.claim(other)
    assert taken is not None
    assert (taken.id, taken.attempts, taken.worker) == (mine.id, 2, other.id)
    assert "died" in taken.error
    assert not desk.finish(mine, result="mine")
    assert not desk.put_back(mine)
    assert not desk.spoil(mine, "mine")
    assert desk.finish(taken, result="theirs")
    assert desk.get_job(mine.id).result == "theirs"


async def test_a_worker_taken_for_dead_finishes_nothing_though_nobody_has_its_job(desk: Desk, worker: Worker) -> None:
    desk.ask(1)
    mine = desk.claim(worker)
    desk.hang(worker)
    assert desk.free_dead() == 1
    assert desk.free_dead() == 0
    assert not desk.finish(mine, result="mine")
    assert desk.get_job(mine.id).state is JobState.OPEN


async def test_the_third_death_fails_it(registry: Registry, desk: Desk) -> None:
    job = desk.ask(1).id
    for _ in range(jobs.MOST_ATTEMPTS):
        async with await Worker.start(registry, SystemClock()) as mortal:
            assert desk.claim(mortal) is not None
    desk.free_dead()
    found = desk.get_job(job)
    assert (found.state, found.attempts, found.error) == (JobState.FAILED, 3, "the worker that worked on it died")
    assert found.finished_at is not None
    assert desk.waiting() == []


async def test_the_third_defect_fails_it_after_some_patience(desk: Desk, worker: Worker) -> None:
    job = desk.ask(1).id
    for number in range(jobs.MOST_ATTEMPTS):
        assert desk.get_job(job).state is JobState.OPEN
        assert desk.spoil(desk.claim(worker), f"defect {number}")
        assert desk.claim(worker) is None  # it waits
        desk.make_available()
    found = desk.get_job(job)
    assert (found.state, found.attempts, found.error) == (JobState.FAILED, 3, "defect 2")


async def test_what_is_put_back_was_not_tried(desk: Desk, worker: Worker) -> None:
    desk.ask(1)
    for _ in range(2 * jobs.MOST_ATTEMPTS):
        job = desk.claim(worker)
        assert job.attempts == 1
        assert desk.put_back(job)
    assert desk.put_back(desk.claim(worker), delay=60.0)
    assert desk.claim(worker) is None
    assert desk.get_job(job.id).state is JobState.OPEN


async def test_a_cancelled_job_is_nobodys(desk: Desk, worker: Worker) -> None:
    waits, works = desk.ask(1), desk.ask(2)
    assert desk.cancel(waits.id).state is JobState.CANCELLED
    claimed = desk.claim(worker)
    assert claimed.id == works.id
    desk.cancel(works.id)
    assert not desk.finish(claimed, result="late")
    assert desk.get_job(works.id).result is None
    with pytest.raises(UserError, match="is cancelled: only an open one"):
        desk.cancel(works.id)
    with pytest.raises(NotFoundError, match="no job 99: `kat jobs list`"):
        desk.cancel(99)


async def test_errors_are_stored_without_secrets(desk: Desk, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.ask(1)
    job = desk.claim(worker)
    desk.finish(job, error="no way to postgresql://me:hunter2@host/kat")
    assert "hunter2" not in desk.get_job(job.id).error
    assert "postgresql://" in desk.get_job(job.id).error


async def test_how_far_a_job_is_is_told_by_its_worker_alone(desk: Desk, worker: Worker) -> None:
    desk.ask(1)
    job = desk.claim(worker)
    assert job is not None
    assert job.progress is None
    assert desk.tell(job, {"step": "writing", "done": 10, "total": 40})
    assert desk.get_job(job.id).progress == {"step": "writing", "done": 10, "total": 40}
    assert not desk.tell(replace(job, worker=worker.id + 1), {"step": "writing", "done": 99, "total": 40})
    assert desk.put_back(job)
    assert desk.get_job(job.id).progress is None, "the next worker begins anew"
