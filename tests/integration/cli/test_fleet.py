"""Runs of the fleet in the shell, where the fleet is not there or has stopped: what is said, and the exit code."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml

from kat_data.cli import fleet
from kat_data.errors import BudgetExhausted
from kat_data.executors import embedded_broker
from kat_data.registry import runs
from kat_data.registry.session import Registry
from kat_data.testing import a_query

pytestmark = pytest.mark.integration


@pytest.fixture
def kat(kat: Any, tmp_path: Path) -> Iterator[Any]:
    """The shell, which may start an embedded broker."""
    yield kat
    embedded_broker.stop(tmp_path / "home")


@pytest.fixture
def recipe(add_queries: Callable[..., None], tmp_path: Path) -> Path:
    """A recipe over one query, whose endpoint nobody asks."""
    add_queries(a_query("What is 1 + 1?", reference="2"))
    member = [{"model": "one"}]
    plain = {
        "name": "lean",
        "endpoints": {"nowhere": {"url": "http://127.0.0.1:1/v1"}},
        "models": {"one": {"endpoint": "nowhere", "model": "one"}},
        "roles": dict.fromkeys(("voters", "responder", "reasoner", "panel", "judge"), member),
        "stages": ["normalise", "vote_mode", "sample_off", "sample_on", "verify", "judge_mode"],
    }
    path = tmp_path / "lean.yaml"
    path.write_text(yaml.safe_dump(plain))
    return path


def test_who_waits_for_nobody_is_told_what_to_do(
    kat: Any, recipe: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Event()

    def say(text: str) -> None:
        with registry.engine.begin() as connection:
            runs.stop(connection, 1, BudgetExhausted("the budget of $1.00 is reached"))
        assert text.startswith("nobody has taken up run 1: start workers with `celery -A workers worker`")
        told.set()

    monkeypatch.setattr(fleet, "NOBODY_SECONDS", 0.05)
    monkeypatch.setattr(fleet, "say", say)
    error = kat.error("run", recipe, "--executor", "celery", code=4, reports=True)
    assert told.is_set()
    assert error == "run 1 stopped: the budget of $1.00 is reached"


def test_detaching_goes_with_the_fleet_alone(kat: Any, recipe: Path) -> None:
    assert "--executor celery" in kat.error("run", recipe, "--detach", code=2)
    assert "--executor celery" in kat.error("runs", "resume", 1, "--detach", code=2)
    assert "--preview" in kat.error("run", recipe, "--preview", 1, "--executor", "celery", "--detach", code=2)
    assert kat.json("runs", "list", "--json") == []


def test_a_broker_that_is_away_is_told_with_what_becomes_of_the_run(
    kat: Any, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAT_BROKER_URL", "redis://127.0.0.1:1/0")
    error = kat.error("run", recipe, "--executor", "celery", "--detach", code=5)
    assert "Run 1 is with the workers, and begins when they have a broker" in error


@pytest.mark.parametrize("variable", ["KAT_BROKER_URL", "KAT_SANDBOX"])
def test_a_worker_under_a_wrong_setting_ends_with_one_line(variable: str, tmp_path: Path) -> None:
    environ = {**os.environ, "KAT_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), variable: "nonsense"}
    command = [sys.executable, "-m", "celery", "-A", "workers", "worker"]
    ended = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    [line] = ended.stderr.strip().splitlines()
    assert line.startswith(f"workers: {variable} has to")


def test_a_metrics_folder_that_cannot_be_is_one_line(
    kat: Any, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KAT_METRICS_DIR", str(tmp_path / "file" / "metrics"))
    assert "KAT_METRICS_DIR" in kat.error("run", recipe, code=2)
