"""The embedded broker: one server for every process of a home, started on demand."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from kat_data.domain.job import JobKind
from kat_data.errors import BrokerError
from kat_data.executors import embedded_broker
from kat_data.executors.broker import JOB_QUEUES, QUEUES, Queue, make_app, wake, wake_for_job
from kat_data.stages.stage import Kind

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    embedded_broker.stop(tmp_path)


def _pid(home: Path) -> int:
    folder = home / "broker"
    [pid] = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _works_in(entry, folder)]
    return pid


def _works_in(entry: Path, folder: Path) -> bool:
    try:
        return (entry / "cwd").readlink() == folder
    except OSError:
        return False


def test_it_starts_once_and_stops(home: Path) -> None:
    assert not embedded_broker.running(home)
    assert not embedded_broker.stop(home)
    with ThreadPool(4) as pool:
        [url] = set(pool.map(embedded_broker.start, [home] * 8))
    assert embedded_broker.running(home)
    pid = _pid(home)
    assert embedded_broker.start(home) == url
    assert _pid(home) == pid
    assert embedded_broker.stop(home)
    assert not embedded_broker.running(home)


def test_a_wake_up_goes_to_the_queue_of_its_kind(home: Path) -> None:
    app = make_app(embedded_broker.start(home))
    sent = [(partial(wake, app, 1, kind), QUEUES[kind]) for kind in Kind]
    sent += [(partial(wake_for_job, app, kind), JOB_QUEUES[kind]) for kind in JobKind]
    for send, queue in sent:
        send()
        with app.connection_for_read() as connection:
            waiting = {name: connection.default_channel._size(name.value) for name in Queue}
            assert waiting == {name: int(name is queue) for name in Queue}
            connection.default_channel._purge(queue.value)
    app.close()


def test_after_a_kill_it_starts_again_empty(home: Path) -> None:
    app = make_app(embedded_broker.start(home))
    wake(app, 1, Kind.LLM)
    with app.connection_for_read() as connection:
        assert connection.default_channel._size("kat.llm") == 1
    os.kill(_pid(home), signal.SIGKILL)
    embedded_broker.start(home)
    with app.connection_for_read() as connection:
        assert connection.default_channel._size("kat.llm") == 0
    app.close()


def test_a_path_too_long_for_a_socket(home: Path) -> None:
    deep = home / ("deep" * 20) / ("down" * 10)
    url = embedded_broker.start(deep)
    try:
        assert str(deep) not in url
        assert embedded_broker.running(deep)
        with make_app(url).connection_for_read() as connection:
            connection.connect()
    finally:
        assert embedded_broker.stop(deep)


def test_nobody_else_may_enter(home: Path) -> None:
    embedded_broker.start(home)
    assert (home / "broker").stat().st_mode & 0o077 == 0
    assert (home / "broker" / "socket").stat().st_mode & 0o077 == 0


def test_a_server_that_is_silent_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_broker, "_SILENCE_SECONDS", 0.2)
    embedded_broker.start(home)
    pid = _pid(home)
    os.kill(pid, signal.SIGSTOP)
    try:
        for ask in (embedded_broker.start, embedded_broker.running, embedded_broker.stop):
            with pytest.raises(BrokerError, match=r"is silent for 0\.2 s: wait for it, or end its process"):
                ask(home)
    finally:
        os.kill(pid, signal.SIGCONT)
    embedded_broker.start(home)
    assert _pid(home) == pid
