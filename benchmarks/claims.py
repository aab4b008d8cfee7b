"""What it costs to claim an item and to commit its step, with a stage that does nothing, while the queue grows.

    python benchmarks/claims.py [--sizes 10000 100000 1000000] [--processes 1 2 4] [--window 20000] [--json]

At each size one run is opened over that many queries a moment ago, and 1, 2 and 4 worker processes take the same number
of its items through the stage. Two limits stand beside the rate: what the disk allows, from the fsyncs that Postgres
really did and the time of one on the same disk in the same run, and the share of the cores that clients and Postgres
used. The last row of each size is of a worker that serves one stage only, while the rest of the queue waits at another.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from cpu import cpu_seconds, postgres_of
from psycopg.rows import dict_row
from sqlalchemy import Connection, text

from kat_data.clock import SystemClock
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.executors.drain import drain
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.plan import Plan
from kat_data.registry import embedded, runs
from kat_data.registry.choice import Choice
from kat_data.registry.session import Registry, connect
from kat_data.registry.worker import Claim, Worker
from kat_data.settings import Settings
from kat_data.stages.stage import Stage, Tools
from kat_data.testing import some_tools

NEW_QUERIES = """
    INSERT INTO queries (hash, raw_fingerprint, category, messages, source_id)
    SELECT sha256(n::text::bytea), n, 'math',
        json_build_array(json_build_object('role', 'user', 'content', 'What is ' || n || ' + ' || n % 89 || '?')),
        :source
    FROM generate_series((:first)::bigint, (:last)::bigint) AS n
"""

DONE_BY_SERVER = """
    SELECT (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')::float AS fsyncs,
        (SELECT sum(fsync_time) FROM pg_stat_io WHERE object = 'wal')::float AS fsync_ms,
        (SELECT wal_bytes FROM pg_stat_wal)::float AS wal_bytes,
        (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float AS transactions
"""


class Nothing(Stage):
    """A stage without work: its query leaves the run at once."""

    name: ClassVar = "nothing"

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        return Dropped(reason=DropReason.NO_CANDIDATE)


class Rare(Nothing):
    """The same at another place of the recipe."""

    name: ClassVar = "rare"


class Some(RunJob):
    """A job that ends after so many items."""

    left = 0

    async def claim(self, limit: int) -> list[Claim]:
        claims = await super().claim(min(limit, self.left)) if self.left else []
        self.left -= len(claims)
        return claims

    async def waiting(self) -> tuple[bool, float | None]:
        return bool(self.left), 0.05


async def work(url: str, run: int, stage: Stage, items: int, in_flight: int) -> None:
    """Be one worker process: be ready, wait for stdin to end, take `items` through the stage, and say what it cost."""
    registry, clock = Registry(url), SystemClock()
    async with await Worker.start(registry, clock, run=run) as worker:
        job = Some(
            run=run,
            worker=worker,
            plan=Plan([stage]),
            tools=some_tools(),
            attempts=1,
            clock=clock,
            stop=asyncio.Event(),
        )
        job.left = items
        print("ready", flush=True)
        sys.stdin.read()
        cpu, began = _own_cpu(), time.monotonic()
        await drain(job, in_flight=in_flight, clock=clock)
        told = {"done": job.counts["dropped"], "cpu": _own_cpu() - cpu, "began": began, "ended": time.monotonic()}
        print(json.dumps(told), flush=True)


def _own_cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


class Bench:
    """Measures windows of a run's items, and keeps the rows."""

    def __init__(self, registry: Registry, home: Path, in_flight: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._registry = registry
        self._home = home
        self._in_flight = in_flight
        self._postgres = postgres_of(home)
        with registry.connection(autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET track_wal_io_timing = on")
            connection.execute("SELECT pg_reload_conf()")

    def measure(self, run: int, size: int, stage: Stage, processes: int, window: int) -> None:
        """Let `processes` workers take a window of items through `stage`."""
        share = window // processes
        command = [sys.executable, __file__, "--work", self._registry.url, str(run), stage.name, str(share)]
        command += [str(self._in_flight)]
        workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        probed = fsync_seconds(self._home)
        before = self._so_far()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
        told = [_finish(worker) for worker in workers]
        seconds = max(one["ended"] for one in told) - min(one["began"] for one in told)
        after = self._so_far()
        items = sum(one["done"] for one in told)
        assert items == share * processes, told
        did = {name: (after[name] - before[name]) / items for name in after}
        client = sum(one["cpu"] for one in told) / items
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.rows.append(
            {
                "items": size,
                "stage": stage.name,
                "processes": processes,
                "items_per_second": items / seconds,
                "client_cpu_per_1000": 1000 * client,
                "postgres_cpu_per_1000": 1000 * did["postgres_cpu"],
                "items_per_fsync": 1 / did["fsyncs"],
                "fsync_ms": did["fsync_ms"] / did["fsyncs"],
                "probed_fsync_ms": 1000 * probed,
                "of_disk": did["fsync_ms"] * items / 1000 / seconds,
                "of_cores": (client + did["postgres_cpu"]) * items / seconds / cores,
                "wal_bytes_per_item": did["wal_bytes"],
                "transactions_per_1000": 1000 * did["transactions"],
                "load": os.getloadavg()[0],
            }
        )
        print(_line(self.rows[-1]), file=sys.stderr, flush=True)

    def _so_far(self) -> dict[str, float]:
        with self._registry.connection(autocommit=True) as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")
            row = connection.cursor(row_factory=dict_row).execute(DONE_BY_SERVER).fetchone()
        assert row is not None
        return {**row, "postgres_cpu": cpu_seconds(self._postgres)[1]}


def _finish(worker: "subprocess.Popen[str]") -> dict[str, Any]:
    assert worker.stdout is not None
    answer: dict[str, Any] = json.loads(worker.stdout.readline())
    worker.wait()
    return answer


def fsync_seconds(folder: Path, rounds: int = 100) -> float:
    """Return the median time in which the disk takes 8 KiB for good, as Postgres writes its log."""
    path, times = folder / "fsync-probe", []
    with path.open("wb") as file:
        file.write(bytes(16 * 2**20))
        file.flush()
        os.fsync(file.fileno())
        for number in range(rounds):
            file.seek(8192 * number)
            start = time.perf_counter()
            file.write(bytes(8192))
            file.flush()
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            times.append(time.perf_counter() - start)
    path.unlink()
    return statistics.median(times)


def open_run(connection: Connection, size: int) -> int:
    """Bring the registry to `size` queries, and open a run over all of them."""
    source = connection.execute(
        text("""
            INSERT INTO sources (name, licence) VALUES ('bench', 'none')
            ON CONFLICT (name) DO UPDATE SET licence = 'none' RETURNING id
        """)
    ).scalar_one()
    known = connection.execute(text("SELECT count(*) FROM queries")).scalar_one()
    connection.execute(text(NEW_QUERIES), {"first": known + 1, "last": size, "source": source})
    wanted = runs.WantedRun(name="bench", recipe={}, identity={"size": size}, first_stage=Nothing.name)
    return runs.open_run(connection, wanted, Choice(sources=["bench"]))[0].id


def set_aside(connection: Connection, run: int, items: int) -> None:
    """Move some items to the rare stage."""
    connection.execute(
        text("""
            UPDATE work_items SET stage = 'rare' WHERE run_id = :run AND query_id = ANY(ARRAY(
                SELECT query_id FROM work_items WHERE run_id = :run AND state = 'ready' LIMIT :items))
        """),
        {"run": run, "items": items},
    )


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        url, run, stage, items, in_flight = sys.argv[2:]
        stages = {one.name: one for one in (Nothing(), Rare())}
        asyncio.run(work(url, int(run), stages[stage], int(items), int(in_flight)))
    else:
        measure()


def measure() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--window", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        try:
            with connect(Settings.load({"KAT_HOME": folder})) as registry:
                bench = Bench(registry, Path(folder), options.in_flight)
                for size in sorted(options.sizes):
                    started = time.monotonic()
                    with registry.engine.begin() as connection:
                        run = open_run(connection, size)
                    print(f"{size:,} items in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
                    window = min(options.window, size // 4)
                    for processes in options.processes:
                        bench.measure(run, size, Nothing(), processes, window)
                    with registry.engine.begin() as connection:
                        set_aside(connection, run, window // 4)
                    bench.measure(run, size, Rare(), 1, window // 4)
        finally:
            embedded.stop(Path(folder))
    print(json.dumps(bench.rows, indent=2) if options.json else table(bench.rows))


def table(rows: list[dict[str, Any]]) -> str:
    head = [
        "items in the queue", "stage", "processes", "items/s", "of the disk", "of the cores", "client CPU-s per 1,000",
        "Postgres", "items per fsync", "fsync ms", "probed", "WAL bytes per item", "load",
    ]  # fmt: skip
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(_line(row) for row in rows)])


def _line(row: dict[str, Any]) -> str:
    cells = [
        f"{row['items']:,}", row["stage"], f"{row['processes']}", f"{row['items_per_second']:,.0f}",
        f"{row['of_disk']:.2f}", f"{row['of_cores']:.2f}", f"{row['client_cpu_per_1000']:.2f}",
        f"{row['postgres_cpu_per_1000']:.2f}", f"{row['items_per_fsync']:.0f}", f"{row['fsync_ms']:.1f}",
        f"{row['probed_fsync_ms']:.1f}",        f"{row['wal_bytes_per_item']:,.0f}", f"{row['load']:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
