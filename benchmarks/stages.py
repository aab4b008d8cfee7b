"""What one step of each stage costs while the registry grows: the same window of items, at 10 k, 100 k and 1 M queries.

    python benchmarks/stages.py [--sizes 10000 100000 1000000] [--window 1000] [--in-flight 64] [--json]

At each size the registry holds that many queries, a finished run with rows of every kind for each of them, and a run
that was opened over all of them a moment ago, which is what a user's run finds. A window of its items then goes through
the recipe stage by stage, each stage with a worker of its own: claim, load what the stages before stored, call the
scripted server, commit. CPU seconds count this process and every process of the embedded Postgres; the server and the
verifiers' processes are not counted.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from cpu import cpu_seconds, postgres_of, share_out_cores
from sqlalchemy import Connection, text

from kat_data.clock import SystemClock
from kat_data.domain.contamination import ItemKind
from kat_data.executors.drain import drain
from kat_data.llm.budget import Budget
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.look import look
from kat_data.pipeline.plan import Plan
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.pipeline.wiring import build_gateway, build_models, make_client
from kat_data.registry import embedded
from kat_data.registry.benchmarks import add_items
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.session import Registry, connect
from kat_data.registry.worker import Claim, Worker
from kat_data.settings import Settings
from kat_data.stages.stage import Tools
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.model_judge import ModelJudge

ROLES = ("taggers", "voters", "responder", "reasoner", "panel", "judge")
STAGES = ("normalise", "decontaminate", "tag", "vote_mode", "sample_off", "sample_on", "verify", "judge_mode")

NEW_QUERIES = """
    INSERT INTO queries (hash, raw_fingerprint, category, messages, reference, verifier, source_id)
    SELECT sha256(n::text::bytea), n, 'math',
        json_build_array(json_build_object('role', 'user', 'content',
            'A shop sells ' || n || ' books in spring and ' || n % 89 || ' in summer. What is ' || n || ' + ' || n % 89
            || '? Give the number of books alone.')),
        (n + n % 89)::text, '{"kind": "math", "options": {}}', :source
    FROM generate_series((:first)::bigint, (:last)::bigint) AS n
"""

# One row of every kind for each new query, as the runs of an older registry have left them.
PAST = (
    """
        INSERT INTO work_items (run_id, query_id, stage, state) SELECT :run, id, 'judge_mode', 'accepted' FROM fresh
    """,
    """
        INSERT INTO calls (key, model, revision, state, request, reply, finish_reason, usd, tokens, run_id, worker_id)
        SELECT sha256(('call' || id)::bytea), 'past', '', 'done', json_build_object('messages', repeat('m', 400)),
            json_build_object('text', repeat('r', 200), 'finish_reason', 'stop'), 'stop', 0.001, 150, :run, 0 FROM fresh
    """,
    """
        INSERT INTO stage_attempts (run_id, query_id, turn, stage, started_at, seconds, outcome, calls)
        SELECT :run, id, 0, 'tag', now(), 0.1, 'done', ARRAY[sha256(('call' || id)::bytea)] FROM fresh
    """,
    """
        INSERT INTO tags (run_id, query_id, position, model, difficulty, domain, verifiable, call)
        SELECT :run, id, 0, 'past', 5, 'algebra', true, sha256(('call' || id)::bytea) FROM fresh
    """,
    """
        INSERT INTO tag_summaries (run_id, query_id, difficulty, spread, domain, verifiable)
        SELECT :run, id, 5, 0, 'algebra', true FROM fresh
    """,
    """
        INSERT INTO turns (run_id, query_id, turn, mode, origin, margin, accepted, judge_analysis)
        SELECT :run, id, 0, 'think_off', 'majority', 1, 0, repeat('j', 200) FROM fresh
    """,
    """
        INSERT INTO votes (run_id, query_id, turn, position, model, mode, reason, call)
        SELECT :run, id, 0, 0, 'past', 'think_off', 'easy', sha256(('call' || id)::bytea) FROM fresh
    """,
    """
        INSERT INTO candidates
            (run_id, query_id, turn, position, mode, model, thinking, answer, tool_calls, rounds, calls)
        SELECT :run, id, 0, 0, 'think_off', 'past', '', repeat('a', 200), '[]', '[]',
            ARRAY[sha256(('call' || id)::bytea)] FROM fresh
    """,
    """
        INSERT INTO verdicts (run_id, query_id, turn, position, number, verifier, outcome, status, reward, evidence)
        SELECT :run, id, 0, 0, 0, 'math', 'correct', 'correct', 1, '{}' FROM fresh
    """,
)


class OneStage(RunJob):
    """A job that takes each of so many items through one stage alone, whatever its recipe has behind it."""

    def __init__(self, stage: str, items: int, **parts: Any) -> None:
        super().__init__(**parts)
        self._serves = (stage,)
        self.left = items

    async def claim(self, limit: int) -> list[Claim]:
        claims = await super().claim(min(limit, self.left)) if self.left else []
        self.left -= len(claims)
        return claims

    async def waiting(self) -> tuple[bool, float | None]:
        return self.left > 0, 0.0

    async def work(self, claim: Claim) -> None:
        await self._step(claim)


def grow(connection: Connection, size: int) -> int:
    """Bring the registry to `size` queries, each with a past; return how many are new."""
    source = connection.execute(
        text("""
            INSERT INTO sources (name, licence) VALUES ('bench', 'none')
            ON CONFLICT (name) DO UPDATE SET licence = 'none' RETURNING id
        """)
    ).scalar_one()
    known = connection.execute(text("SELECT count(*) FROM queries")).scalar_one()
    connection.execute(text(NEW_QUERIES), {"first": known + 1, "last": size, "source": source})
    run = connection.execute(
        text("""
            INSERT INTO runs (key, name, recipe, state, queries)
            VALUES (sha256(convert_to('past' || (:size)::text, 'UTF8')), 'past', '{}', 'finished', :size) RETURNING id
        """).bindparams(size=size)
    ).scalar_one()
    fresh = "CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS SELECT id FROM queries ORDER BY id OFFSET :known"
    connection.execute(text(fresh), {"known": known})
    for statement in PAST:
        connection.execute(text(statement), {"run": run})
    return int(size - known)


def add_benchmark(registry: Registry) -> None:
    """Add a benchmark of which no query holds anything: every query is compared, and none is dropped."""
    shop = (
        "A train leaves city {n} at noon with {m} travellers, and a third of them leaves it at each of three stations."
    )
    texts = (shop.format(n=n, m=3 * n) + f" How many are left on track {n}?" for n in range(500))
    add_items(registry, "trains", ((n, ItemKind.PROSE, item) for n, item in enumerate(texts, 1)))


def recipe(url: str, size: int, in_flight: int) -> Recipe:
    """The stages, with a seed of the size's own: no call of another size's window is in the ledger."""
    plain = {
        "name": "bench",
        "seed": size,
        "endpoints": {"scripted": {"url": url, "concurrency": in_flight}},
        "models": {"one": {"endpoint": "scripted", "model": "scripted"}},
        "roles": {role: [{"model": "one", "temperature": 0.7}] for role in ROLES},
        "stages": [*STAGES],
    }
    return parse_recipe(plain, "benchmark")


class Meter:
    """Collects rows: the CPU and time of a block over its steps."""

    def __init__(self, postgres: list[psutil.Process]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._postgres = postgres

    @contextmanager
    def measure(self, what: str, queries: int, steps: int) -> Iterator[None]:
        before, start = cpu_seconds(self._postgres), time.monotonic()
        yield
        seconds, after = time.monotonic() - start, cpu_seconds(self._postgres)
        client, server = (1000 * (after[i] - before[i]) / steps for i in (0, 1))
        figures = {"seconds": seconds, "client": client, "postgres": server, "both": client + server}
        self.rows.append({"what": what, "queries": queries, "steps": steps, **figures})


class Window:
    """The items of one run that are taken through its stages."""

    def __init__(self, registry: Registry, run: int, wanted: Recipe, meter: Meter, verifiers: Verifiers) -> None:
        self._registry = registry
        self._run = run
        self._recipe = wanted
        self._meter = meter
        self._verifiers = verifiers
        self._index = look(registry, run, wanted.stages)

    async def take(self, stage: str, queries: int, items: int, in_flight: int) -> None:
        """Take at most `items` of those that stand at `stage` through it."""
        items = self._standing(stage, items)
        if not items:
            return
        clock, stop = SystemClock(), asyncio.Event()
        async with await Worker.start(self._registry, clock) as worker:
            ledger = await PostgresLedger.open(self._registry, run=self._run, worker=worker.id, clock=clock)
            gateway = build_gateway(self._recipe, ledger, Budget(), clock, make_client)
            tools = Tools(
                models=build_models(self._recipe, gateway),
                verify=self._verifiers,
                admit=self._verifiers.admit,
                compare=ModelJudge().compare,
                group=self._verifiers.group,
                execute=self._verifiers.execute,
                index=self._index,
                seed=self._recipe.seed,
            )
            plan = Plan(self._recipe.stages)
            parts = {"run": self._run, "worker": worker, "plan": plan, "tools": tools, "clock": clock, "stop": stop}
            job = OneStage(stage, items, attempts=1, **parts)
            with self._meter.measure(stage, queries, items):
                await drain(job, in_flight=in_flight, clock=clock, stop=stop)
                await gateway.close()
                await ledger.close()
        if failed := job.counts["dead"] + job.counts["lease_lost"]:
            raise SystemExit(f"{failed} items failed at {stage}: the figures would mean nothing")

    def _standing(self, stage: str, most: int) -> int:
        """Return how many items stand at the stage, `most` at the most."""
        sql = """
            SELECT count(*) FROM (
                SELECT FROM work_items WHERE run_id = :run AND state = 'ready' AND stage = :stage LIMIT :most) AS first
        """
        with self._registry.engine.connect() as connection:
            asked = {"run": self._run, "stage": stage, "most": most}
            count: int = connection.execute(text(sql), asked).scalar_one()
        return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    command = [sys.executable, "-m", "kat_data.testing.scripted_server"]
    with (
        tempfile.TemporaryDirectory(prefix="kat-bench-") as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            with connect(Settings.load({"KAT_HOME": folder})) as registry, Verifiers() as verifiers:
                meter = Meter(postgres_of(Path(folder)))
                share_out_cores([*postgres_of(Path(folder)), psutil.Process(server.pid)])
                add_benchmark(registry)
                for size in sorted(options.sizes):
                    measure_size(registry, recipe(url, size, options.in_flight), meter, verifiers, size, options)
        finally:
            server.terminate()
            embedded.stop(Path(folder))
    print(json.dumps(meter.rows, indent=2) if options.json else table(meter.rows))


def measure_size(
    registry: Registry, wanted: Recipe, meter: Meter, verifiers: Verifiers, size: int, options: argparse.Namespace
) -> None:
    with registry.engine.begin() as connection:
        new = grow(connection, size)
    with registry.connection(autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    with meter.measure("open the run", size, size):
        run, _ = open_run(registry, wanted)
    with meter.measure("check new queries against a benchmark", size, new):
        window = Window(registry, run.id, wanted, meter, verifiers)
    for stage in wanted.stages:
        asyncio.run(window.take(stage.name, size, options.window, options.in_flight))


def table(rows: list[dict[str, Any]]) -> str:
    sizes = sorted({row["queries"] for row in rows})
    found = {(row["what"], row["queries"]): row for row in rows}
    head = [
        "CPU-s per 1,000 steps",
        *(f"{size:,} queries" for size in sizes),
        *(f"× at {size:,}" for size in sizes[1:]),
    ]
    lines = [head, ["---"] * len(head)]
    for what in dict.fromkeys(row["what"] for row in rows):
        row = [found.get((what, size)) for size in sizes]
        cells = [f"{one['client']:.2f} + {one['postgres']:.2f}" if one else "" for one in row]
        ratios = [f"{one['both'] / row[0]['both']:.2f}" if one and row[0] else "" for one in row[1:]]
        lines.append([what, *cells, *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
