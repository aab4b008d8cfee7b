"""What `kat metrics` shows of a run is what the registry holds; and the dashboard asks for nothing else."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson
import psycopg
import pytest
import yaml
from sqlalchemy import text

from kat_data.clock import SystemClock
from kat_data.executors.local import execute_run
from kat_data.metrics.exposition import collectors, exposition
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry.queries import run_cost
from kat_data.registry.session import Registry
from kat_data.registry.worker import Worker
from kat_data.testing import a_query
from kat_data.testing.scripted_server import Fault, ScriptedServer

pytestmark = pytest.mark.integration

LABELS = {"run", "recipe", "state", "stage", "outcome", "verifier", "mode", "model", "source", "part", "host"}
ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "grafana"
WORKED = """
import asyncio, sys
from pathlib import Path
from kat_data.metrics.process import open_observer
from kat_data.clock import SystemClock
from kat_data.executors.local import execute_run
from kat_data.registry import runs
from kat_data.registry.session import Registry

registry = Registry(sys.argv[1])
with registry.engine.connect() as connection:
    row = runs.get_run(connection, int(sys.argv[2]))
asyncio.run(execute_run(registry, row, observer=open_observer(Path(sys.argv[3]))))
"""


def recipe(url: str) -> Any:
    roles = ("responder", "reasoner", "voters", "panel", "judge")
    return parse_recipe(
        {
            "name": "measured",
            "endpoints": {"scripted": {"url": url, "concurrency": 4, "retries": 3}},
            "models": {"one": {"endpoint": "scripted", "model": "one", "price": {"prompt": 1.0, "completion": 2.0}}},
            "roles": {role: [{"model": "one", "max_tokens": 200}] for role in roles},
            "stages": ["normalise", "vote_mode", "sample_off", "sample_on", "verify", "judge_mode"],
            "budget": {"usd": 3.5},
        },
        "recipe.yaml",
    )


async def test_a_run_in_the_registry(registry: Registry, add_queries, parse, value) -> None:
    add_queries(*(a_query(f"What is {n} + 1?", reference=str(n + 1)) for n in range(10)))
    async with ScriptedServer() as server:
        server.fail(Fault(status=504))  # whose money may be lost
        row, _ = open_run(registry, recipe(server.url))
        await execute_run(registry, row)
    found = parse(exposition(collectors(registry, None)))
    with registry.engine.connect() as connection:
        ends = dict(connection.execute(text("SELECT state, count(*) FROM work_items GROUP BY state")).all())
        verdicts = connection.execute(text("SELECT count(*) FROM verdicts WHERE outcome = 'correct'")).scalar_one()
        calls = connection.execute(text("SELECT count(*) FROM calls WHERE state = 'done'")).scalar_one()
        cost = run_cost(connection, row.id)
    assert value(found, "kat_registry_up") == 1
    assert {s: value(found, "kat_queue_items", state=s, run=str(row.id)) for s in ends} == ends
    assert value(found, "kat_queue_items") == 10
    assert value(found, "kat_verdicts_total", outcome="correct") == verdicts > 0
    assert value(found, "kat_calls_total", source="endpoint", model="one") == calls > 0
    assert value(found, "kat_cost_usd_total") + value(found, "kat_cost_lost_usd_total") == pytest.approx(cost.usd)
    assert value(found, "kat_cost_lost_usd_total") > 0
    assert value(found, "kat_budget_usd", part="cap") == 3.5
    assert value(found, "kat_run_state", state="finished", recipe="measured") == 1
    assert value(found, "kat_workers") == 0
    assert {name for _, held in found for name, _ in held} <= LABELS


async def work_elsewhere(registry: Registry, url: str, folder: Path) -> None:
    """Open the recipe's run and work on it in a process of its own."""
    row, _ = open_run(registry, recipe(url))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKED, registry.url, str(row.id), str(folder)),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert await process.wait() == 0


async def test_processes_leave_their_latencies_and_the_dashboard_knows_every_name(
    registry: Registry, add_queries, tmp_path: Path, parse, value
) -> None:
    add_queries(*(a_query(f"What is {n} + 1?", reference=str(n + 1)) for n in range(6)))
    folder = tmp_path / "metrics"
    async with ScriptedServer() as server:
        server.fail(Fault(status=429, headers={"Retry-After": "0"}))
        await work_elsewhere(registry, server.url, folder)
        add_queries(a_query("What is 7 + 7?", reference="14"))
        await work_elsewhere(registry, server.url, folder)  # another run, for which the ledger has most of the calls
        requests = server.statistics.requests
    async with await Worker.start(registry, SystemClock()):
        found = parse(exposition(collectors(registry, folder)))
    assert value(found, "kat_workers") == 1
    assert value(found, "kat_call_seconds_count", outcome="throttled", endpoint="scripted") == 1
    assert value(found, "kat_call_seconds_count", model="one") == requests
    assert value(found, "kat_call_seconds_count", outcome="answered") == value(found, "kat_calls_total")
    assert value(found, "kat_call_tokens_total") == value(found, "kat_tokens_total") > 0
    assert value(found, "kat_verify_seconds_count") == value(found, "kat_verdicts_total") > 0
    assert value(found, "kat_stage_seconds_count") == value(found, "kat_stage_attempts_total")
    assert value(found, "kat_calls_reused_total") > 0
    steps = value(found, "kat_commit_operations_sum", kind="steps")
    assert steps == value(found, "kat_stage_attempts_total")
    asked = set(re.findall(r"\bkat_[a-z_]+", (GRAFANA / "kat_data.json").read_text()))
    assert asked - {name for name, _ in found} == set()


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    board = orjson.loads((GRAFANA / "kat_data.json").read_bytes())
    assert board["uid"] == "kat-data"
    assert board["schemaVersion"] >= 36
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "run"]
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")
            assert target["expr"].count("{") == target["expr"].count("}")
            counters = re.findall(r"(\w+)\(kat_\w+_total", target["expr"])
            assert set(counters) <= {"rate", "sum"}
    places = [panel["gridPos"] for panel in panels]
    cells = [(at["x"] + dx, at["y"] + dy) for at in places for dx in range(at["w"]) for dy in range(at["h"])]
    assert len(cells) == len(set(cells)), "two panels overlap"
    assert max(x for x, _ in cells) < 24
    [provider] = yaml.safe_load((GRAFANA / "dashboards.yaml").read_text())["providers"]
    assert provider["type"] == "file"


def test_a_registry_that_is_away_is_told_and_comes_back(registry: Registry, open_run, parse, value) -> None:
    open_run()
    served = collectors(registry, None)
    assert value(parse(exposition(served)), "kat_registry_up") == 1
    name = registry.url.split("?")[0].rsplit("/", 1)[1]
    with psycopg.connect(registry.url.replace(f"/{name}?", "/postgres?"), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        found = parse(exposition(served))
        assert (value(found, "kat_registry_up"), len(found)) == (0, 1)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert value(parse(exposition(served)), "kat_queue_items", state="ready") == 3


def test_kat_metrics_serve(registry: Registry, open_run: Callable[..., Any], tmp_path: Path, parse, value) -> None:
    open_run(sums=4)
    command = [sys.executable, "-m", "kat_data.cli.main", "metrics", "serve", "--port", "0"]
    environ = os.environ | {"KAT_DATABASE_URL": registry.url, "KAT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        with urlopen(url, timeout=20) as response:
            assert response.headers["Content-Type"].startswith("text/plain")
            found = parse(response.read().decode())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert value(found, "kat_queue_items", stage="first", state="ready") == 4
