"""A process takes up one job after the other, and leaves what it cannot end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from kat_data.domain.job import JobKind, JobState
from kat_data.errors import RegistryError
from kat_data.registry import jobs
from kat_data.registry.jobs import JobRow
from kat_data.registry.session import Registry
from workers import jobs as bench_module
from workers.jobs import Bench

pytestmark = pytest.mark.integration

WANTED: dict[str, Any] = {"run": 1, "name": None, "partial": False, "root": None}


@pytest.fixture
def ask(registry: Registry) -> Callable[..., int]:
    def ask_(**arguments: Any) -> int:
        with registry.engine.begin() as connection:
            return jobs.ask(connection, JobKind.SNAPSHOT, arguments).id

    return ask_


@pytest.fixture
def look(registry: Registry) -> Callable[[int], JobRow]:
    def look_(job: int) -> JobRow:
        with registry.engine.connect() as connection:
            return jobs.get_job(connection, job)

    return look_


@pytest.fixture
def bench(registry: Registry, tmp_path: Path) -> Callable[..., Bench]:
    def make(**parts: Any) -> Bench:
        parts = {
            "open_registry": lambda: Registry(registry.url),
            "open_sandbox": lambda: None,
            "home": tmp_path,
        } | parts
        return Bench(**parts)

    return make


@pytest.fixture
def let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Make every snapshot wait for this event, and a node that ends wait for no job."""
    let_go = Event()
    monkeypatch.setitem(bench_module.PERFORM, JobKind.SNAPSHOT, lambda *_: let_go.wait(30))
    monkeypatch.setattr(bench_module, "GRACE_SECONDS", 0.3)
    yield let_go
    let_go.set()


def test_where_nothing_waits_nobody_comes_to_work(registry: Registry, bench: Callable[..., Bench]) -> None:
    assert not bench().take_up(JobKind.SNAPSHOT)
    with registry.connection() as connection:
        assert connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)


def test_a_failure_for_people_ends_the_job_at_once(
    bench: Callable[..., Bench], ask: Callable[..., int], look: Callable[[int], JobRow]
) -> None:
    job = ask(**WANTED | {"run": 77})
    assert bench().take_up(JobKind.SNAPSHOT)
    found = look(job)
    assert (found.state, found.attempts) == (JobState.FAILED, 1)
    assert "run 77" in found.error
    assert not bench().take_up(JobKind.SNAPSHOT)


def test_a_defect_is_tried_again_later(
    bench: Callable[..., Bench], ask: Callable[..., int], look: Callable[[int], JobRow]
) -> None:
    job = ask(partial=False)  # no run: as if another version had asked
    assert bench().take_up(JobKind.SNAPSHOT)
    found = look(job)
    assert (found.state, found.attempts, found.worker) == (JobState.OPEN, 1, None)
    assert found.error.startswith("a defect: KeyError")
    assert not bench().take_up(JobKind.SNAPSHOT)


def test_a_node_that_ends_leaves_its_job_as_if_untried(
    bench: Callable[..., Bench], ask: Callable[..., int], look: Callable[[int], JobRow], let_go: Event
) -> None:
    job = ask(**WANTED)
    answers = iter([False])  # it is asked to end right after it has begun
    assert not bench(is_ending=lambda: next(answers, True)).take_up(JobKind.SNAPSHOT)
    found = look(job)
    assert (found.state, found.attempts, found.worker) == (JobState.OPEN, 0, None)
    assert not bench(is_ending=lambda: True).take_up(JobKind.SNAPSHOT)
    let_go.set()
    assert bench().take_up(JobKind.SNAPSHOT)
    assert look(job).state is JobState.DONE


def test_a_job_that_was_cancelled_meanwhile_stays_cancelled(
    registry: Registry,
    bench: Callable[..., Bench],
    ask: Callable[..., int],
    look: Callable[[int], JobRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = ask(**WANTED)

    def cancelled(*_: Any) -> str:
        with registry.engine.begin() as connection:
            jobs.cancel(connection, job)
        return "done"

    monkeypatch.setitem(bench_module.PERFORM, JobKind.SNAPSHOT, cancelled)
    assert bench().take_up(JobKind.SNAPSHOT)
    assert (look(job).state, look(job).result) == (JobState.CANCELLED, None)


def test_a_registry_that_is_away_is_one_line(bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    def away() -> Registry:
        raise RegistryError("No connection to Postgres at nowhere")

    assert not bench(open_registry=away).take_up(JobKind.SNAPSHOT)
    assert [record.message for record in caplog.records] == ["registry.lost"]


def test_a_registry_that_is_lost_on_the_way_spoils_nothing(
    registry: Registry,
    bench: Callable[..., Bench],
    ask: Callable[..., int],
    look: Callable[[int], JobRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = ask(**WANTED)

    def lose(_: Bench, ours: Registry, *__: Any) -> None:
        with ours.engine.connect() as connection, registry.connection(autocommit=True) as other:
            [pid] = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
            connection.exec_driver_sql("SELECT 1")

    monkeypatch.setitem(bench_module.PERFORM, JobKind.SNAPSHOT, lose)
    assert bench().take_up(JobKind.SNAPSHOT)
    assert (look(job).state, look(job).attempts, look(job).worker) == (JobState.OPEN, 0, None)
