"""The broker: none, one without its client, one that is not there, and a real one."""

import sys
from pathlib import Path

import pytest

from kat_data.doctor.broker import look_at_broker
from kat_data.doctor.finding import Finding, Level
from kat_data.settings import Settings


def look(tmp_path: Path, url: str = "") -> Finding:
    [found] = look_at_broker(Settings.load({"KAT_HOME": str(tmp_path), "KAT_BROKER_URL": url}))
    return found


def test_none_is_fine(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert found.level is Level.OK
    assert f"the embedded one in {tmp_path / 'broker'} starts when workers need it" in found.found


def test_a_missing_client_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kombu", None)
    found = look(tmp_path, "redis://:secret@127.0.0.1:1/0")
    assert (found.level, found.remedy) == (Level.FAIL, "run pip install 'kat-data[worker]'")
    assert "secret" not in found.found


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_not_there_fails(tmp_path: Path, scheme: str) -> None:
    pytest.importorskip("kombu", reason="the extra `worker` is not installed")
    found = look(tmp_path, f"{scheme}://:secret@127.0.0.1:1//")
    assert (found.level, found.remedy) == (Level.FAIL, "start it, or correct KAT_BROKER_URL")
    assert "secret" not in found.found
