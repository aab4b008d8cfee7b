"""What one model call costs through the whole path, from claim to commit, against bare aiohttp in the same run.

    python benchmarks/gateway.py [--calls 4000] [--latency 0.2] [--in-flight 64 256 1024] [--json]

CPU seconds count this process and every process of the embedded Postgres; the model server is its own process and is
not counted.
"""

import argparse
import asyncio
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import orjson
import psutil
from cpu import cpu_seconds, postgres_of, share_out_cores
from sqlalchemy import text

from kat_data.clock import SystemClock
from kat_data.domain.call import Price, Sampling
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.slice import EndpointLimits
from kat_data.executors.drain import drain
from kat_data.llm.bound_model import BoundModel
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.gateway import Gateway
from kat_data.llm.leased_budget import LeasedBudget
from kat_data.llm.openai_http import OpenAIClient
from kat_data.llm.shared_limit import Sharing
from kat_data.pipeline.job import RunJob
from kat_data.pipeline.mixture import next_round
from kat_data.pipeline.plan import Plan
from kat_data.registry import embedded, runs
from kat_data.registry.budgets import PostgresPurse
from kat_data.registry.choice import Choice
from kat_data.registry.ledger import PostgresLedger
from kat_data.registry.session import Registry, connect
from kat_data.registry.slices import PostgresSlices
from kat_data.registry.worker import Worker
from kat_data.settings import Settings
from kat_data.stages.stage import Stage, Tools
from kat_data.testing import some_tools

QUESTION = "How many sheets of paper do {n} books of 120 pages need, printed on both sides? Show the steps."


class AskOnce(Stage):
    """One call for one query; the query then leaves the run, so that nothing but the call is measured."""

    name: ClassVar = "ask_once"
    roles: ClassVar = ("responder",)
    latencies: ClassVar[list[float]] = []

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        start = time.monotonic()
        await tools.models["responder"][0].chat(draft.conversation)
        self.latencies.append(time.monotonic() - start)
        return Dropped(reason=DropReason.NO_CANDIDATE)


async def bare(url: str, calls: int, in_flight: int) -> list[float]:
    """The limit: aiohttp and orjson, with nothing around them."""
    latencies: list[float] = []
    numbers = iter(range(calls))

    async def caller(session: aiohttp.ClientSession) -> None:
        for n in numbers:
            message = {"role": "user", "content": QUESTION.format(n=n)}
            start = time.monotonic()
            async with session.post(f"{url}/chat/completions", data=orjson.dumps({"messages": [message]})) as response:
                orjson.loads(await response.read())
            latencies.append(time.monotonic() - start)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(caller(session) for _ in range(in_flight)))
    return latencies


async def whole(
    url: str, calls: int, in_flight: int, registry: Registry, salt: int, *, shared: EndpointLimits | None = None
) -> list[float]:
    """Our path: items claimed from the registry, one stage with one call each, outputs committed.

    The endpoint's limits are this process's own, or `shared` with others.
    """
    AskOnce.latencies.clear()
    with registry.engine.begin() as connection:
        _store_queries(connection, calls, salt)
        wanted = runs.WantedRun(
            name="benchmark",
            recipe={"budget": {"usd": 1000.0, "tokens": None}},
            identity={"salt": salt},
            first_stage="ask_once",
        )
        run, _ = runs.open_run(connection, wanted, Choice(sources=[f"bench{salt}"]))
    counts = await work_on(registry, run.id, url, in_flight, shared)
    assert counts["dropped"] == calls, counts
    return list(AskOnce.latencies)


async def work_on(
    registry: Registry, run: int, url: str, in_flight: int, shared: EndpointLimits | None = None
) -> Mapping[str, int]:
    """Be a worker of the run until all its items have ended; return how they ended."""
    clock = SystemClock()
    async with await Worker.start(registry, clock) as worker, AsyncExitStack() as parts:
        limit = None
        if shared is not None:
            slices = await PostgresSlices.open_for(registry, worker=worker.id)
            limit = (await parts.enter_async_context(Sharing(slices, clock))).limit(url, shared)
        ledger = await PostgresLedger.open(registry, run=run, worker=worker.id, clock=clock)
        endpoint = Endpoint("server", OpenAIClient("server", url), concurrency=in_flight, limit=limit)
        purse = await parts.enter_async_context(PostgresPurse.open(registry, run=run, worker=worker.id))
        budget = await parts.enter_async_context(LeasedBudget(purse, clock))
        gateway = Gateway([endpoint], ledger, budget=budget)
        model = BoundModel(
            gateway=gateway,
            endpoint="server",
            name="benchmark",
            sampling=Sampling(max_tokens=256),
            price=Price(prompt=1.0, completion=1.0),
        )
        tools = some_tools(models={"responder": (model,)})
        stop = asyncio.Event()
        plan = Plan([AskOnce()])
        let_on = functools.partial(asyncio.to_thread, next_round, registry, run, plan)
        job = RunJob(run=run, worker=worker, plan=plan, let_on=let_on, tools=tools, attempts=1, clock=clock, stop=stop)
        await drain(job, in_flight=in_flight, clock=clock, stop=stop)
        await gateway.close()
        await ledger.close()
    return job.counts


def _store_queries(connection: Any, calls: int, salt: int) -> None:
    source = connection.execute(
        text("INSERT INTO sources (name, licence) VALUES (:name, 'none') RETURNING id"), {"name": f"bench{salt}"}
    ).scalar()
    connection.execute(
        text("""
            INSERT INTO queries (hash, raw_fingerprint, category, messages, source_id)
            SELECT sha256((:salt || '/' || n)::bytea), n, 'math',
                json_build_array(json_build_object(
                    'role', 'user', 'content', :salt || ' ' || replace(:question, '{n}', n::text))),
                :source
            FROM generate_series(1, :calls) AS n
        """),
        {"salt": str(salt), "question": QUESTION, "source": source, "calls": calls},
    )
    connection.execute(text("ANALYZE queries"))


def measure(work: Callable[[], Awaitable[list[float]]], calls: int, postgres: list[psutil.Process]) -> dict[str, float]:
    before, start = cpu_seconds(postgres), time.monotonic()
    latencies = asyncio.run(_of(work))
    seconds = time.monotonic() - start
    after = cpu_seconds(postgres)
    client, server = (after[i] - before[i] for i in (0, 1))
    return {
        "calls_per_second": calls / seconds,
        "cpu_per_1000": (client + server) * 1000 / calls,
        "client_cpu_per_1000": client * 1000 / calls,
        "postgres_cpu_per_1000": server * 1000 / calls,
        "p95_seconds": statistics.quantiles(latencies, n=20)[-1],
        "rss_mb": psutil.Process().memory_info().rss / 2**20,
    }


async def _of(work: Callable[[], Awaitable[list[float]]]) -> list[float]:
    return await work()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    server_script = Path(__file__).with_name("model_server.py")
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="kat-bench-") as folder,
        subprocess.Popen([sys.executable, str(server_script), str(options.latency)], stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        home = Path(folder)
        try:
            with connect(Settings.load({"KAT_HOME": folder})) as registry:
                postgres = postgres_of(home)
                share_out_cores([*postgres, psutil.Process(server.pid)])
                for salt, in_flight in enumerate(options.in_flight):
                    calls = max(options.calls, 4 * in_flight)
                    limit = functools.partial(bare, url, calls, in_flight)
                    rows.append(_row("bare aiohttp", in_flight, measure(limit, calls, [])))
                    ours = functools.partial(whole, url, calls, in_flight, registry, 2 * salt)
                    rows.append(_row("whole path", in_flight, measure(ours, calls, postgres)))
                    shared = EndpointLimits(concurrency=in_flight, rpm=10**6, tpm=10**9)
                    ours = functools.partial(whole, url, calls, in_flight, registry, 2 * salt + 1, shared=shared)
                    rows.append(_row("limits shared, rpm and tpm", in_flight, measure(ours, calls, postgres)))
        finally:
            server.terminate()
            embedded.stop(home)
    print(json.dumps(rows, indent=2) if options.json else _table(rows, options.latency))


def _row(path: str, in_flight: int, figures: dict[str, float]) -> dict[str, Any]:
    return {"path": path, "in_flight": in_flight, **figures}


def _table(rows: list[dict[str, Any]], latency: float) -> str:
    head = (
        "| path | in flight | calls/s | CPU-s per 1,000 | client | Postgres | p95 / latency | RSS MB |\n"
        + "|---" * 8
        + "|"
    )
    lines = [
        f"| {r['path']} | {r['in_flight']:,} | {r['calls_per_second']:,.0f} | {r['cpu_per_1000']:.2f} "
        f"| {r['client_cpu_per_1000']:.2f} | {r['postgres_cpu_per_1000']:.2f} | {r['p95_seconds'] / latency:.2f} "
        f"| {r['rss_mb']:.0f} |"
        for r in rows
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
