"""What one call costs through our own client and through litellm's, side by side, each in a process of its own.

    python benchmarks/clients.py [--calls 2000] [--latency 0.2] [--in-flight 64] [--json]

litellm is the optional extra; without it its row is left out. The model server is its own process and is not counted.
"""

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

QUESTION = "How many sheets of paper do {n} books of 120 pages need, printed on both sides? Show the steps."
CLIENTS = {"ours": "benchmark", "litellm": "openai/benchmark"}


async def measure(kind: str, url: str, calls: int, in_flight: int) -> dict[str, Any]:
    """Make the calls through one client, after one that loads what it needs."""
    from kat_data.domain.call import CallRequest, Sampling
    from kat_data.domain.query import Message, Role
    from kat_data.llm.litellm_client import LitellmClient
    from kat_data.llm.openai_http import OpenAIClient

    def request(n: int) -> CallRequest:
        message = Message(role=Role.USER, content=QUESTION.format(n=n))
        return CallRequest(model=CLIENTS[kind], messages=(message,), sampling=Sampling(max_tokens=256))

    client: LitellmClient | OpenAIClient = OpenAIClient("server", url)
    if kind == "litellm":
        client = LitellmClient("server", url=url, api_key="none", key_variable=None, seconds=60.0)
    loading = time.monotonic()
    await client.complete(request(-1))
    loaded = time.monotonic() - loading
    latencies: list[float] = []
    numbers = iter(range(calls))

    async def caller() -> None:
        for n in numbers:
            start = time.monotonic()
            await client.complete(request(n))
            latencies.append(time.monotonic() - start)

    cpu, start = time.process_time(), time.monotonic()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    await client.close()
    return {
        "client": kind,
        "first_call_seconds": loaded,
        "calls_per_second": calls / seconds,
        "cpu_per_1000": cpu * 1000 / calls,
        "p50_seconds": statistics.median(latencies),
        "p95_seconds": statistics.quantiles(latencies, n=20)[-1],
        "rss_mb": psutil.Process().memory_info().rss / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("CLIENT", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asyncio.run(measure(*options.one, options.calls, options.in_flight))))
        return
    server_script = Path(__file__).with_name("model_server.py")
    kinds = [kind for kind in CLIENTS if kind != "litellm" or importlib.util.find_spec("litellm")]
    with subprocess.Popen([sys.executable, str(server_script), str(options.latency)], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        try:
            rows = [_apart(kind, url, options) for kind in kinds]
        finally:
            server.terminate()
    print(json.dumps(rows, indent=2) if options.json else _table(rows))


def _apart(kind: str, url: str, options: argparse.Namespace) -> dict[str, Any]:
    sizes = ["--calls", str(options.calls), "--in-flight", str(options.in_flight)]
    command = [sys.executable, __file__, "--one", kind, url, *sizes]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _table(rows: list[dict[str, Any]]) -> str:
    head = "| client | first call, s | calls/s | CPU-s per 1,000 | p50, s | p95, s | RSS MB |\n" + "|---" * 7 + "|"
    lines = [
        f"| {r['client']} | {r['first_call_seconds']:.2f} | {r['calls_per_second']:,.0f} | {r['cpu_per_1000']:.2f} "
        f"| {r['p50_seconds']:.3f} | {r['p95_seconds']:.3f} | {r['rss_mb']:.0f} |"
        for r in rows
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
