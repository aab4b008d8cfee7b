"""`kat runs watch` on a run that another process works on."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson
import psycopg
import pytest

from kat_data.cli.watch import watch_run
from kat_data.domain.states import RunState
from kat_data.registry.session import Registry

pytestmark = pytest.mark.integration


@pytest.fixture
def sums(kat: Any, tmp_path: Path) -> None:
    """Enough of them for a run that goes on while somebody looks."""
    rows = [{"question": f"What is {n} + {n}?", "answer": f"So it is.\n#### {2 * n}"} for n in range(80)]
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(orjson.dumps(row).decode() for row in rows))
    kat("queries", "import", path, "--preset", "gsm8k", "--source", "sums", "--licence", "MIT")


def test_it_follows_a_run_to_its_end(
    kat: Any, sums: None, registry: Registry, write_recipe: Callable[..., Path], slow_endpoint: Any
) -> None:
    command = [sys.executable, "-m", "kat_data.cli.main", "run", str(write_recipe(slow_endpoint.url)), "--json"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        process.stderr.readline()  # "run 1 (small): …": it is open
        said = kat("runs", "watch", "1").err
        report, _ = process.communicate(timeout=60)
    first, *_, last = said.splitlines()
    assert first.startswith("run 1 open: ")
    assert last.startswith("run 1 finished: 80 of 80 ended, ")
    accepted = orjson.loads(report)["accepted"]
    assert f" {accepted} accepted, " in last
    found = kat.json("runs", "watch", "1", "--json")
    assert (found["state"], found["ended"], found["workers"], found["calls"]["in_flight"]) == ("finished", 80, 0, 0)
    assert found["usd"]["usd"] == pytest.approx(kat.json("runs", "show", "1", "--json")["cost"]["usd"])


def test_a_run_that_does_not_exist(kat: Any) -> None:
    assert kat.error("runs", "watch", "9", code=2) == "no run 9: `kat runs list` shows them"


def test_it_outlives_lost_connections_and_ends_when_told(
    registry: Registry, open_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run, leave, seen = open_run(), Event(), []
    watching = Thread(target=lambda: seen.append(watch_run(registry, run.id, every=0.02, leave=leave)))
    watching.start()
    with psycopg.connect(registry.url, autocommit=True) as connection:
        killed = 0
        while killed < 5:
            killed += connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            ).fetchone()[0]
            assert watching.is_alive()
    leave.set()
    watching.join(20)
    assert [look.state for look in seen] == [RunState.OPEN]
    assert "3 queries" not in capsys.readouterr().err
