"""The reaper's sign of life."""

import time
from pathlib import Path

import pytest

from kat_data.executors.broker import make_app
from kat_data.registry.session import Registry
from kat_data.settings import Settings
from workers import reaper

pytestmark = pytest.mark.integration

UNREACHABLE = "postgresql://kat:x@127.0.0.1:1/kat"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "INTERVAL", 0.01)


def beats(url: str, folder: Path, seconds: float) -> bool:
    """Whether a node on that database gives a sign of life within some time."""
    heartbeat = folder / "heartbeat"
    environ = {"KAT_DATABASE_URL": url, "KAT_BROKER_URL": "redis://127.0.0.1:1/0", "KAT_HEARTBEAT": str(heartbeat)}
    looking = reaper.Reaper(make_app("memory://"), Settings.load(environ, folder))
    looking.start()
    give_up = time.monotonic() + seconds
    while not heartbeat.exists() and time.monotonic() < give_up:
        time.sleep(0.01)
    looking.stop()
    looking._thread.join()
    looking._disconnect()
    return heartbeat.exists()


def test_a_node_that_reaches_postgres_touches_its_heartbeat(registry: Registry, tmp_path: Path) -> None:
    assert beats(registry.url, tmp_path, 10.0)


def test_a_node_without_postgres_does_not(tmp_path: Path) -> None:
    assert not beats(UNREACHABLE, tmp_path, 0.5)
