"""Ctrl-C on a run in a process of its own: once ends it after its calls in flight, twice ends it on the spot."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kat_data.registry.session import Registry

pytestmark = pytest.mark.integration

PATIENCE = 30.0


@pytest.fixture
def endpoint_requests(slow_endpoint: Any) -> Callable[[int], None]:
    """Wait until the slow endpoint has seen so many requests."""

    def wait(least: int) -> None:
        end = time.monotonic() + PATIENCE
        while slow_endpoint.requests < least:
            assert time.monotonic() < end, "the run never asked the endpoint"

    return wait


@pytest.fixture
def running(
    kat: Any, registry: Registry, questions: Path, write_recipe: Callable[..., Path], slow_endpoint: Any
) -> Iterator[subprocess.Popen[str]]:
    kat("queries", "import", questions, "--preset", "gsm8k", "--source", "sums", "--licence", "MIT")
    recipe = write_recipe(slow_endpoint.url)
    command = [sys.executable, "-m", "kat_data.cli.main", "run", str(recipe)]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stores_what_is_in_flight(
    name: signal.Signals, running: subprocess.Popen[str], kat: Any, endpoint_requests: Callable[[int], None]
) -> None:
    endpoint_requests(4)
    running.send_signal(name)
    _, said = running.communicate(timeout=PATIENCE)

    assert running.returncode == 3
    assert "kat runs resume" in said.splitlines()[-1]
    run = kat.json("runs", "list", "--json")[0]
    assert run["state"] == "stopped"
    assert kat.json("runs", "resume", run["run"], "--json")["state"] == "finished"


def test_two_signals_end_the_run_on_the_spot_and_it_can_be_resumed(
    running: subprocess.Popen[str], kat: Any, endpoint_requests: Callable[[int], None]
) -> None:
    endpoint_requests(4)
    running.send_signal(signal.SIGINT)
    running.stderr.readline()  # "stopping …" or the progress line before it
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)

    assert running.returncode in {130, 3}  # 3: the calls in flight ended before the second signal came
    assert "kat runs resume" in said
    run = kat.json("runs", "list", "--json")[0]
    assert kat.json("runs", "resume", run["run"], "--json")["state"] == "finished"
