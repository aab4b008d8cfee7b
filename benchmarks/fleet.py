"""How a run scales over 1, 2 and 4 worker processes of one Celery node, with a real broker, until the cores are full.

    python benchmarks/fleet.py [--processes 1 2 4] [--queries 12000] [--latency 0.05] [--json]

Every query gets its mode at random, one answer that the verifier accepts, and becomes a sample: one call a query, and
four commits of steps. The model server answers so soon that CPU is the limit. The figures are of the middle half of
the calls, when every process is at work: CPU seconds of the node, of Postgres, of the broker, and of the model server.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from cpu import cpu_seconds, postgres_of

from kat_data.domain.states import RunState
from kat_data.executors import embedded_broker
from kat_data.executors.fleet import submit
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import embedded, runs
from kat_data.registry.imports import import_queries
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings
from kat_data.sources.presets import fingerprint, read_queries
from kat_data.testing.node import Node

STAGES = ({"vote_mode": {"random_share": 1.0}}, "sample_off", "sample_on", "verify")
ROLES = ("voters", "responder", "reasoner", "panel")
PATIENCE_SECONDS = 300


def add_queries(registry: Registry, folder: Path, source: str, count: int) -> None:
    """Import questions whose answer is the model server's."""
    path = folder / f"{source}.jsonl"
    with path.open("w") as file:
        for n in range(count):
            question = f"{source}: a shelf has {n} books and {n} are lent. How many days are six weeks?"
            file.write(json.dumps({"question": question, "answer": "42"}) + "\n")
    options = {"preset": "plain", "source": source}
    queries = read_queries(path, licence="none", **options)
    mark = fingerprint(path, **options)
    import_queries(registry, queries, licence="none", file_name=path.name, fingerprint=mark, **options)


def recipe(url: str, source: str) -> Recipe:
    plain = {
        "name": source,
        "queries": {"sources": [source]},
        "snapshot": {"stage": "stage1"},
        "endpoints": {"server": {"url": url, "concurrency": 1024}},
        "models": {"one": {"endpoint": "server", "model": "benchmark", "price": {"prompt": 1, "completion": 1}}},
        "roles": {role: [{"model": "one"}] for role in ROLES},
        "budget": {"usd": 1000.0},
        "stages": [*STAGES],
    }
    return parse_recipe(plain, "benchmark")


class Meter:
    """CPU seconds by who used them, and the calls that the model server has seen."""

    def __init__(self, url: str, server: int, node: Node, home: Path) -> None:
        self._url = f"{url.removesuffix('/v1')}/statistics"
        self._server = server
        self._node = node
        self._postgres = postgres_of(home)
        self._broker = [each.pid for each in psutil.process_iter(["cmdline"]) if _is_broker(each, home)]

    def look(self) -> dict[str, float]:
        with urllib.request.urlopen(self._url) as response:
            calls = json.load(response)["requests"]
        return {
            "at": time.monotonic(),
            "calls": calls,
            "node": _of(self._node.pids),
            "postgres": cpu_seconds(self._postgres)[1],
            "broker": _of(self._broker),
            "server": _of([self._server]),
        }


def _is_broker(process: psutil.Process, home: Path) -> bool:
    command = " ".join(process.info["cmdline"] or ())
    return "valkey" in command and str(home) in command


def _of(pids: Any) -> float:
    seconds = 0.0
    for pid in pids:
        with suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            seconds += times.user + times.system
    return seconds


def measure(settings: Settings, registry: Registry, url: str, server: int, node: Node, source: str) -> dict[str, float]:
    """Run one recipe over a source; return what happened in the middle half of its calls."""
    meter = Meter(url, server, node, settings.home)
    row, _ = open_run(registry, recipe(url, source))
    before = meter.look()
    submit(registry, row, settings)
    looks, end = [before], time.monotonic() + PATIENCE_SECONDS
    while _state(registry, row.id) is RunState.OPEN:
        if time.monotonic() > end:
            raise SystemExit(f"not done in {PATIENCE_SECONDS} s:\n{node.said}")
        time.sleep(0.25)
        looks.append(meter.look())
    calls = looks[-1]["calls"] - before["calls"]
    first, last = (_when(looks, before["calls"] + share * calls) for share in (0.25, 0.75))
    return {name: last[name] - first[name] for name in first}


def _when(looks: list[dict[str, float]], calls: float) -> dict[str, float]:
    return next(look for look in looks if look["calls"] >= calls)


def _state(registry: Registry, run: int) -> RunState:
    with registry.engine.connect() as connection:
        return runs.get_run(connection, run).state


def spread(node: Node, processes: int) -> None:
    """Pin each worker process to a core, in turn: kernels of some virtual machines pack them all on one."""
    while len(node.pids) <= processes:
        time.sleep(0.1)
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))
        for number, pid in enumerate(sorted(node.pids - {node.process.pid})):
            os.sched_setaffinity(pid, {cores[number % len(cores)]})


@contextmanager
def serving(latency: float) -> Iterator[tuple[str, int]]:
    command = [sys.executable, str(Path(__file__).with_name("model_server.py")), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().decode().strip(), server.pid
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--queries", type=int, default=12_000)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder, serving(options.latency) as (url, server):
        settings = Settings.load({"KAT_HOME": folder})
        try:
            with connect(settings) as registry:
                for processes in options.processes:
                    warm, measured = f"warm{processes}", f"measured{processes}"
                    add_queries(registry, Path(folder), warm, options.queries // 4)
                    add_queries(registry, Path(folder), measured, options.queries)
                    node = Node(Path(folder), Path(folder) / f"node{processes}.log", processes=processes)
                    try:
                        spread(node, processes)
                        measure(settings, registry, url, server, node, warm)
                        rows.append(_row(processes, measure(settings, registry, url, server, node, measured)))
                    finally:
                        node.end()
                    print(_line(rows[-1]), file=sys.stderr, flush=True)
        finally:
            embedded_broker.stop(Path(folder))
            embedded.stop(Path(folder))
    print(json.dumps(rows, indent=2) if options.json else table(rows))


def _row(processes: int, spent: dict[str, float]) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    used = {name: spent[name] for name in ("node", "postgres", "broker", "server")}
    per_1000 = {f"{name}_cpu_per_1000": 1000 * seconds / spent["calls"] for name, seconds in used.items()}
    return {
        "processes": processes,
        "calls_per_second": spent["calls"] / spent["at"],
        **per_1000,
        "of_cores": sum(used.values()) / spent["at"] / cores,
        "load": os.getloadavg()[0],
    }


def table(rows: list[dict[str, Any]]) -> str:
    head = [
        "processes", "calls/s", "node's CPU-s per 1,000", "Postgres", "broker", "model server", "of the cores", "load",
    ]  # fmt: skip
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(_line(row) for row in rows)])


def _line(row: dict[str, Any]) -> str:
    parts = [f"{row[f'{name}_cpu_per_1000']:.2f}" for name in ("node", "postgres", "broker", "server")]
    cells = [f"{row['processes']}", f"{row['calls_per_second']:,.0f}", *parts, f"{row['of_cores']:.2f}"]
    return f"| {' | '.join(cells)} | {row['load']:.0f} |"


if __name__ == "__main__":
    main()
