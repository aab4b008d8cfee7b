"""Workers killed and paused, the broker and Postgres lost, an endpoint that fails: a run ends as it would in calm."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kat_data.domain.call import CallRequest
from kat_data.domain.category import Category
from kat_data.domain.codec import from_python
from kat_data.domain.query import Query
from kat_data.executors.local import execute_run
from kat_data.hashing import sha256
from kat_data.llm.openai_wire import request_body
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry.claims import LEASE_SECONDS
from kat_data.registry.imports import import_queries
from kat_data.registry.session import Registry
from kat_data.testing import a_query
from kat_data.testing.endpoint import Endpoint, serving
from kat_data.testing.fleet import outcome
from kat_data.testing.node import Node
from kat_data.testing.request_log import Served, read_log
from kat_data.testing.scripted_server import ScriptedServer

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

FULL = os.environ.get("KAT_TEST_CHAOS") == "full"
QUERIES = 2000 if FULL else 600
NODES = 4 if FULL else 3
KILLS = 10 if FULL else 3
BROKER_LOSSES = 2 if FULL else 1
SEED = int(os.environ.get("KAT_TEST_CHAOS_SEED", "2507"))
CONCURRENCY = 64  # of all workers together
CALLS_PER_QUERY = 3  # at least
CAP_USD = 0.01 * QUERIES
RECOVERY_SECONDS = 30.0
STORED_SECONDS = 3.0  # between an answer and its place in the ledger, on a busy machine
GIVE_UP_SECONDS = 1200 if FULL else 600

KILLED = ("node", "main", "child")
COUNTED = """
    SELECT 'item' AS kind, stage AS name, state AS outcome, count(*) FROM work_items GROUP BY 1, 2, 3
    UNION ALL SELECT 'attempt', stage, outcome, count(*) FROM stage_attempts GROUP BY 1, 2, 3
    UNION ALL SELECT 'verdict', verifier, outcome, count(*) FROM verdicts GROUP BY 1, 2, 3
    UNION ALL SELECT 'sample', coalesce(mode, 'pair'), 'accepted', count(*) FROM samples GROUP BY 1, 2, 3
    UNION ALL SELECT 'call', model, finish_reason, count(*) FROM calls WHERE state = 'done' GROUP BY 1, 2, 3
"""

ROLES = ("voters", "responder", "reasoner", "panel", "judge")


def queries() -> list[Query]:
    """Sums, and some conversations of two turns."""
    turns = [
        a_query(f"What is {n} + 1?", "?", f"And {n} + 2?", reference=str(n + 2), category=Category.MULTI_TURN)
        for n in range(QUERIES // 10)
    ]
    sums = [a_query(f"What is {n} + {3 * n}?", reference=str(4 * n)) for n in range(QUERIES - len(turns))]
    return sums + turns


def recipe(url: str) -> dict[str, Any]:
    endpoint = {"url": url, "concurrency": CONCURRENCY, "timeout": 3, "retries": 8}
    return {
        "name": "chaos",
        "seed": 5,
        "budget": {"usd": CAP_USD},
        "endpoints": {"scripted": endpoint},
        "models": {"one": {"endpoint": "scripted", "model": "one", "price": {"prompt": 1.0, "completion": 2.0}}},
        "roles": {role: [{"model": "one", "max_tokens": 200}] for role in ROLES},
        "stages": [
            "normalise",
            {"vote_mode": {"random_share": 0}},
            {"sample_off": {"k": 2}},
            {"sample_on": {"k": 2}},
            "verify",
            "judge_mode",
        ],
    }


def fill(registry: Registry) -> None:
    import_queries(
        registry,
        list(enumerate(queries(), 1)),
        source="chaos",
        licence="Apache-2.0",
        file_name="chaos.jsonl",
        preset="plain",
        fingerprint=b"chaos",
    )


def plan() -> list[tuple[int, str]]:
    """Return what happens at which number of requests, as the seed has it.

    Postgres dies before the pause: a server that forgets the paused worker's session would not wait for its lease.
    """
    rng = random.Random(SEED)
    events = [f"kill {KILLED[number % len(KILLED)]}" for number in range(KILLS)] + ["lose broker"] * BROKER_LOSSES
    rng.shuffle(events)
    whole = CALLS_PER_QUERY * QUERIES
    places = sorted(rng.sample(range(whole // 8, whole), len(events)))
    return [(whole // 20, "kill postgres"), (whole // 10, "pause"), *zip(places, events, strict=True)]


@dataclass
class Death:
    """A worker's end, watched until the rest have what it held and another is at work in its place."""

    at: float
    workers: list[int]
    newest: int
    seconds: float | None = None


@dataclass
class Chaos:
    """What is done to a fleet at work on a run, and what came of it."""

    fleet: Any
    witness: Any
    endpoint: Endpoint
    events: list[tuple[int, str]]
    deaths: list[Death] = field(default_factory=list)
    losses: list[tuple[float, int]] = field(default_factory=list)  # when, and how many calls were reserved
    paused: Node | None = None
    stale: list[int] = field(default_factory=list)
    paused_at: float = 0.0
    resumed: tuple[int, set[Any]] | None = None  # attempts of the paused worker, and all replies, when it woke

    def happen(self) -> None:
        """Let the events happen, each in its time, until the run has ended and the paused worker has been awake."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while not self._over():
            assert time.monotonic() < give_up, self.fleet.said()
            while self._is_time():
                getattr(self, self.events.pop(0)[1].replace(" ", "_"))()
            with suppress(psycopg.OperationalError):  # Postgres is away: the fleet has to bring it back
                self._look()
            time.sleep(0.1)

    def _is_time(self) -> bool:
        """Whether the next event is due: the pause not before others are at work, too."""
        if not self.events or self.endpoint.requests < self.events[0][0] or not self._database_is_up():
            return False
        if self.events[0][1] != "pause":
            return True
        assert self.witness.state() == "open", "the run ended before two nodes were at work at the same time"
        return self.witness.at_work() >= 2

    def _database_is_up(self) -> bool:
        try:
            return bool(self.witness.state())
        except psycopg.OperationalError:
            return False

    def _over(self) -> bool:
        pending = self.events or self.resumed is None or any(death.seconds is None for death in self.deaths)
        if pending or not self._database_is_up():
            return False
        return self.witness.state() != "open" and self.witness.have_left(self.stale)

    def _look(self) -> None:
        ended = self.witness.state() != "open"
        for death in self.deaths:
            replaced = ended or self.witness.at_work_since(death.newest)
            if death.seconds is None and replaced and self.witness.held_by(death.workers) == 0:
                death.seconds = time.monotonic() - death.at
        overdue = self.paused and self.resumed is None and time.monotonic() > self.paused_at + LEASE_SECONDS + 5
        if overdue and self.witness.held_by(self.stale) == 0:
            self.resumed = self.witness.attempts_of(self.stale), self.witness.stored()
            self.paused.signal(signal.SIGCONT)

    def _awake(self) -> list[Node]:
        """Return the nodes that can be killed now: those with a worker at work."""
        nodes = [node for node in self.fleet.nodes if node is not self.paused and node.process.poll() is None]
        return [node for node in nodes if self.witness.workers_of(node.pids)] or nodes

    def _victim(self) -> tuple[Node, list[int]]:
        node = self._awake()[0]
        return node, self.witness.workers_of(node.pids)

    @contextmanager
    def _losing(self, workers: list[int] | None) -> Iterator[None]:
        """Note what workers, or all, have in flight; nobody reserves or settles while the block takes them out."""
        with self.witness.holding_calls() as reserved:
            self.losses.append((time.time(), reserved(workers)))
            yield

    @contextmanager
    def _death(self, workers: list[int]) -> Iterator[None]:
        self.deaths.append(Death(time.monotonic(), workers, self.witness.newest_worker()))
        with self._losing(workers):
            yield

    def pause(self) -> None:
        self.paused, self.stale = self._victim()
        with self._losing(self.stale):
            self.paused.signal(signal.SIGSTOP)
        self.paused_at = time.monotonic()
        assert self.witness.held_by(self.stale) > 0

    def kill_node(self) -> None:
        node, workers = self._victim()
        with self._death(workers):
            node.kill()
        self.fleet.node()

    def kill_main(self) -> None:
        """Kill the process that Celery's others belong to: they follow it."""
        node, workers = self._victim()
        with self._death(workers):
            node.process.kill()
            node.process.wait()
            while node.pids:
                time.sleep(0.01)
        self.fleet.node()

    def kill_child(self) -> None:
        node, workers = self._victim()
        with self._death(workers):
            for pid in node.pids - {node.process.pid}:
                os.kill(pid, signal.SIGKILL)

    def lose_broker(self) -> None:
        self.fleet.kill_broker()

    def kill_postgres(self) -> None:
        with self._losing(None):
            os.kill(self.fleet.postmaster(), signal.SIGKILL)


def in_flight(chaos: Chaos, log: list[Served]) -> int:
    """Return how many calls were in flight at the losses: sent, by the server's log, and not stored, by the ledger."""
    return sum(
        min(reserved, sum(served.started <= at <= served.ended + STORED_SECONDS for served in log))
        for at, reserved in chaos.losses
    )


async def calm(registry: Registry) -> set[tuple[str, ...]]:
    """Return the outcome of the same run by the local executor, at an endpoint without faults."""
    fill(registry)
    async with ScriptedServer() as server:
        server.keep_bodies = False
        row, _ = open_run(registry, parse_recipe(recipe(server.url), "calm.yaml"))
        await execute_run(registry, row)
    return outcome(registry)


def counted(witness: Any) -> Counter[tuple[str, ...]]:
    return Counter({(kind, name, outcome): n for kind, name, outcome, n in witness.ask(COUNTED)})


def tallied(witness: Any) -> Counter[tuple[str, ...]]:
    sql = "SELECT kind, name, outcome, sum(count)::bigint FROM tallies GROUP BY 1, 2, 3 HAVING sum(count) <> 0"
    found = {(kind, name, outcome): n for kind, name, outcome, n in witness.ask(sql)}
    return Counter({key: n for key, n in found.items() if key[0] != "call" or key[2] != "failed"})


def of_bodies(witness: Any, column: str) -> dict[str, float]:
    """Return what the ledger says of each stored call, by the hash of its request's body."""
    rows = witness.ask(f"SELECT request, {column} FROM calls WHERE state = 'done'")
    return {
        sha256(request_body(from_python(CallRequest, made), stream=False)).hex(): float(said) for made, said in rows
    }


def asked_after_stored(witness: Any, log: list[Served]) -> list[Served]:
    """Return the requests that were sent although their replies were stored."""
    stored = of_bodies(witness, "extract(epoch FROM settled_at)")
    assert {served.body for served in log} == stored.keys()
    return [served for served in log if served.started > stored[served.body]]


def charged(witness: Any, paid: Counter[str]) -> float:
    """Return what an endpoint would charge for the requests that it answered."""
    prices = of_bodies(witness, "usd")
    return sum(prices[body] * count for body, count in paid.items())


async def test_a_run_in_chaos_ends_as_in_calm(
    fleet: Any,
    witness: Callable[[int], Any],
    registry: Registry,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    fill(fleet.registry)
    path = tmp_path / "requests.jsonl"
    started = time.monotonic()
    with serving("--latency", 0.2, "--faults", 0.05, "--seed", SEED, "--log", path) as endpoint:
        for _ in range(NODES):
            fleet.node()
        run = fleet.submit(recipe(endpoint.url))
        chaos = Chaos(fleet, witness(run), endpoint, plan())
        chaos.happen()
        seconds = time.monotonic() - started
        look = chaos.witness

        assert look.ask("SELECT state, reason FROM runs WHERE id = %(run)s") == [("finished", None)]
        ended = outcome(fleet.registry)
        assert len(ended) == QUERIES
        assert ended == await calm(registry)

        assert tallied(look) == counted(look)

        # The stale worker saw that its lease is gone. It may have stored a paid reply for which nobody else had asked,
        # and never one in the place of another's.
        attempts, replies = chaos.resumed
        assert look.attempts_of(chaos.stale) == attempts
        assert replies <= look.stored()

        assert all(death.seconds < RECOVERY_SECONDS for death in chaos.deaths), chaos.deaths
        for node in list(fleet.nodes):
            if node.process.poll() is None:
                assert node.end() == 0, node.said
        assert fleet.left_over() == []

    log = read_log(path)
    paid = Counter(served.body for served in log if served.paid)
    repeated = sum(count - 1 for count in paid.values())
    lost = in_flight(chaos, log)
    assert repeated <= lost
    assert asked_after_stored(look, log) == []
    assert max(served.in_flight for served in log) <= CONCURRENCY
    spent = look.one("SELECT sum(usd) FROM calls") + look.one("SELECT lost_usd FROM runs")
    assert charged(look, paid) <= spent <= CAP_USD
    slowest = max(death.seconds for death in chaos.deaths)
    record_property(
        "chaos",
        f"{QUERIES} queries, {len(log)} requests ({sum(not s.paid for s in log)} faults), {sum(paid.values())} paid "
        f"calls, {repeated} paid twice of {lost} in flight at {KILLS} kills of workers, 1 of Postgres and 1 pause; "
        f"{BROKER_LOSSES} brokers lost; {max(s.in_flight for s in log)} of {CONCURRENCY} calls at once; "
        f"recovery within {slowest:.1f} s; {seconds:.0f} s in all, seed {SEED}",
    )
