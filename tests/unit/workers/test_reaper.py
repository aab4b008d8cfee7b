"""What a reaper wakes for, and when it says that its node lives."""

from pathlib import Path
from typing import Any

import pytest

from kat_data.errors import BrokerError
from kat_data.pipeline.fleet import Work
from kat_data.settings import Settings
from kat_data.stages.stage import Kind
from workers import node, reaper
from workers.reaper import Reaper

TWO = [Work(run=1, kind=Kind.LLM), Work(run=2, kind=Kind.LLM)]


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    woken: list[int] = []
    monkeypatch.setattr(reaper, "broker_url", lambda _: "")
    monkeypatch.setattr(reaper, "wake", lambda app, run, kind, **_: woken.append(run))
    monkeypatch.setattr(node, "processes", 1)
    return woken


def test_one_free_process_gets_each_run_in_its_turn(tmp_path: Path, woken: list[int]) -> None:
    app: Any = None
    reaping = Reaper(app, Settings.load({}, tmp_path))
    for _ in range(4):
        reaping._wake([], TWO)
    assert woken == [1, 2, 1, 2]


def test_a_lost_broker_does_not_withhold_the_heartbeat(
    tmp_path: Path, woken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: Settings) -> str:
        reaping.stop()
        raise BrokerError("The broker does not answer")

    app: Any = None
    settings = Settings.load({"KAT_HEARTBEAT": str(tmp_path / "alive")}, tmp_path)
    reaping = Reaper(app, settings)
    monkeypatch.setattr(reaper, "INTERVAL", 0.0)
    monkeypatch.setattr(reaper, "broker_url", lost)
    monkeypatch.setattr(reaping, "_look", lambda: ([], TWO))
    reaping._look_again_and_again()
    assert (tmp_path / "alive").exists()
    assert woken == []
