"""The same job for KAT Data, three peers and bare aiohttp: prompts from a file, one call each, answers kept.

    python benchmarks/peers.py [--prompts 2000] [--latency 0.2] [--in-flight 64] [--peers NAME ...] [--json]

Each peer has a script in `benchmarks/peers/`, and an environment of its own in the user's cache folder, made here when
it is first needed. The model server counts what reaches it. Each peer does the whole job, then one that is killed
(kill -9, all its processes) half-way and started again, and then that one with a row more; a job of one prompt tells
what of the CPU is starting up.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from cpu import postgres_of

from kat_data.registry import embedded

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kat-data-benchmarks"
PATIENCE_SECONDS = 240

PEERS: dict[str, tuple[str, ...]] = {
    "bare_aiohttp": (),
    "with_kat_data": (),
    "with_curator": ("bespokelabs-curator==0.1.31",),
    "with_data_designer": ("data-designer==0.9.6",),
    "with_distilabel": ("distilabel[openai]==1.5.3", "requests", "beautifulsoup4"),  # its own list lacks two
}
"""Scripts, and what each needs that the environment of this project does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A peer's process when it is over: its status (none where we killed it), CPU seconds and highest memory."""

    status: int | None
    cpu: float
    peak_mb: float


class Watch:
    """Adds up what a process and all its descendants use, by looking at them again and again."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._roots = [psutil.Process(process.pid)]
        self._folder = folder
        self._seconds: dict[tuple[int, float], float] = {}
        self.peak_mb = 0.0

    @property
    def cpu(self) -> float:
        return sum(self._seconds.values())

    def look(self) -> None:
        memory = 0
        for process in self._all():
            with suppress(psutil.Error):
                one = (process.pid, process.create_time())
                times = process.cpu_times()
                self._seconds[one] = times.user + times.system
                memory += process.memory_full_info().pss
        self.peak_mb = max(self.peak_mb, memory / 2**20)

    def _all(self) -> Iterator[psutil.Process]:
        roots = list(self._roots)
        with suppress(OSError, psutil.Error, IndexError, ValueError):
            roots += postgres_of(self._folder)  # ours: it is nobody's child
        for root in roots:
            with suppress(psutil.Error):
                yield from [root, *root.children(recursive=True)]


class Server:
    """The model server, and what it has seen since it was last asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._before = self._ask()

    def seen(self) -> dict[str, Any]:
        now = self._ask()
        return {name: now[name] - self._before[name] for name in ("requests", "duplicates")} | {
            "first": now["first"],
            "last": now["last"],
        }

    def _ask(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/statistics") as response:
            return dict(json.load(response))


@contextmanager
def serving(latency: float) -> Iterator[Server]:
    command = [sys.executable, str(HERE / "model_server.py"), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().decode().strip())
        finally:
            process.terminate()


class Peer:
    """One peer's script, with the interpreter that it needs."""

    def __init__(self, name: str, latency: float, in_flight: int) -> None:
        self.name = name
        self._latency = latency
        self._in_flight = in_flight
        self._python = environment(name)

    def whole(self, prompts: int) -> dict[str, Any]:
        """Do a job from the beginning to its end."""
        with tempfile.TemporaryDirectory(prefix="kat-peer-") as folder, serving(self._latency) as server:
            ended = self._run(server, folder, prompts)
            seen = server.seen()
        _must_succeed(ended)
        return {
            "requests": seen["requests"],
            "seconds": seen["last"] - seen["first"] + self._latency,
            "cpu": ended.cpu,
            "peak_mb": ended.peak_mb,
        }

    def killed_and_grown(self, prompts: int) -> dict[str, Any]:
        """Kill a job half-way, start it again, then once more with a row more."""
        with tempfile.TemporaryDirectory(prefix="kat-peer-") as folder, serving(self._latency) as server:
            self._run(server, folder, prompts, kill_at=prompts // 2)
            again = self._run(server, folder, prompts)
            repeated = server.seen()
            found: dict[str, Any] = {"status_after_kill": again.status, "repeated": repeated["duplicates"]}
            if again.status == 0:
                found["missing"] = max(0, prompts - (repeated["requests"] - repeated["duplicates"]))
                grown = self._run(server, folder, prompts + 1)
                found["calls_for_one_more"] = server.seen()["requests"] - repeated["requests"]
                found["status_grown"] = grown.status
            return found

    def _run(self, server: Server, folder: str, prompts: int, kill_at: int | None = None) -> Ended:
        file = Path(folder) / "prompts.jsonl"
        file.write_text("".join(json.dumps({"prompt": _prompt(n)}) + "\n" for n in range(prompts)))
        home = Path(folder) / "state"
        command = [self._python, str(HERE / "peers" / f"{self.name}.py"), server.url, str(file), str(home)]
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, str(self._in_flight)],
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"},
            )
            watch, end = Watch(process, home), time.monotonic() + PATIENCE_SECONDS
            try:
                while process.poll() is None and time.monotonic() < end:
                    time.sleep(0.1)
                    watch.look()
                    if kill_at is not None and server.seen()["requests"] >= kill_at:
                        break
                status = process.poll()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if kill_at is None:
                    embedded.stop(home)  # ours, which outlives its client
        if status:
            print(f"{self.name}: {log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
        return Ended(status=status, cpu=watch.cpu, peak_mb=watch.peak_mb)


def environment(name: str) -> str:
    """Return the interpreter of a peer's own environment, made where it is not there yet."""
    needs = PEERS[name]
    if not needs:
        return sys.executable
    folder = CACHE / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = folder / "installed.json"
    if not done.exists() or json.loads(done.read_text()) != list(needs):
        print(f"{name}: installing {', '.join(needs)}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *needs], check=True, stdout=sys.stderr)
        done.write_text(json.dumps(needs))
    return str(python)


def _prompt(n: int) -> str:
    return f"How many sheets of paper do {n} books of 120 pages need, printed on both sides? Show the steps."


def _must_succeed(ended: Ended) -> None:
    if ended.status is None:
        raise RuntimeError(f"not done in {PATIENCE_SECONDS} s")
    if ended.status:
        raise RuntimeError(f"ended with status {ended.status}")


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return a peer's figures, or the reason why there are none."""
    try:
        peer = Peer(name, options.latency, options.in_flight)
        started = peer.whole(1)
        whole = peer.whole(options.prompts)
        figures = {
            "calls": whole["requests"],
            "calls_per_second": whole["requests"] / whole["seconds"],
            "cpu_per_1000": 1000 * (whole["cpu"] - started["cpu"]) / options.prompts,
            "cpu_to_start": started["cpu"],
            "peak_mb": whole["peak_mb"],
        }
        kept = {} if name == "bare_aiohttp" else peer.killed_and_grown(options.prompts)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        return {"peer": name, "fault": str(error)}
    return {"peer": name, **figures, **kept, "load": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[*PEERS])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name in options.peers:
        rows.append(measure(name, options))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=2) if options.json else table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    head = [
        "peer", "calls/s", "CPU-s per 1,000 calls", "CPU-s to start", "peak MB", "calls repeated after kill -9",
        "calls for one more row",
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(row: dict[str, Any]) -> str:
    if "fault" in row:
        return f"| {row['peer']} | {row['fault']} |||||"
    cells = [
        row["peer"], f"{row['calls_per_second']:,.0f}", f"{row['cpu_per_1000']:.2f}", f"{row['cpu_to_start']:.1f}",
        f"{row['peak_mb']:.0f}", _after_kill(row), f"{row.get('calls_for_one_more', '–')}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _after_kill(row: dict[str, Any]) -> str:
    if "repeated" not in row:
        return "–"
    if row["status_after_kill"] is None:
        return f"not done in {PATIENCE_SECONDS} s"
    if row["status_after_kill"]:
        return f"ends with status {row['status_after_kill']}"
    missing = f", {row['missing']} never made" if row["missing"] else ""
    return f"{row['repeated']:,}{missing}"


if __name__ == "__main__":
    main()
