"""Nodes of the fleet on a test's own database, broker and endpoint."""

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.executors import embedded_broker
from kat_data.executors.fleet import submit
from kat_data.pipeline.recipe import parse_recipe
from kat_data.pipeline.run import open_run
from kat_data.registry import runs
from kat_data.registry.runs import RunRow
from kat_data.registry.session import Registry
from kat_data.settings import Settings
from kat_data.testing import a_query
from kat_data.testing.endpoint import Endpoint, serving
from kat_data.testing.node import Node

Plain = dict[str, Any]

ROLES = ("voters", "responder", "reasoner", "panel", "judge")
LEAN: Plain = {
    "name": "lean",
    "seed": 5,
    "endpoints": {"scripted": {"url": "http://127.0.0.1:1/v1", "concurrency": 8, "retries": 3}},
    "models": {"one": {"endpoint": "scripted", "model": "one", "price": {"prompt": 1.0, "completion": 2.0}}},
    "roles": {role: [{"model": "one", "max_tokens": 200}] for role in ROLES},
    "stages": ["normalise", {"vote_mode": {"random_share": 0}}, "sample_off", "sample_on", "verify", "judge_mode"],
}
PATIENCE_SECONDS = 90.0


def sums(number: int, *, start: int = 0) -> list[Query]:
    """Queries of which the scripted endpoint answers three in four right."""
    return [a_query(f"What is {n} + {3 * n}?", reference=str(4 * n)) for n in range(start, start + number)]


def easy(number: int) -> list[Query]:
    """Queries whose verifier accepts every answer, and starts no process."""
    spec = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["result"]})
    return [a_query(f"Tell me of the result {n}.", reference=None, verifier=spec) for n in range(number)]


def until(found: Callable[[], Any], what: str) -> Any:
    """Look again and again until something is found, and return it."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not (seen := found()):
        assert time.monotonic() < give_up, f"in vain: {what}"
        time.sleep(0.05)
    return seen


class Fleet:
    """A home with a broker, a database, an endpoint, and the nodes that a test starts."""

    sums = staticmethod(sums)
    easy = staticmethod(easy)
    until = staticmethod(until)

    def __init__(self, registry: Registry, home: Path, endpoint: Endpoint) -> None:
        home.mkdir()
        self.registry = registry
        self.home = home
        self.endpoint = endpoint
        self.environ = {"KAT_HOME": str(home), "KAT_DATABASE_URL": registry.url}
        self.nodes: list[Node] = []

    def node(self, *queues: str, processes: int = 1, pool: str = "prefork", **environ: str | None) -> Node:
        log = self.home / f"node{len(self.nodes)}.log"
        given = self.environ | environ
        node = Node(self.home, log, processes=processes, queues=queues, options=["-P", pool], environ=given)
        self.nodes.append(node)
        return node

    def recipe(self, *, endpoint: Plain | None = None, **parts: Any) -> Plain:
        plain = copy.deepcopy(LEAN) | parts
        plain["endpoints"]["scripted"] |= {"url": self.endpoint.url, **(endpoint or {})}
        return plain

    def submit(self, plain: Plain) -> int:
        row, _ = open_run(self.registry, parse_recipe(plain, "recipe.yaml"))
        submit(self.registry, row, Settings.load(self.environ))
        return row.id

    def kat(self, *arguments: object, code: int = 0) -> Any:
        """Run a command with `--json` in a process of its own; return its document, or what it says where it fails."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("KAT_")}
        done = subprocess.run(
            [sys.executable, "-m", "kat_data.cli.main", *map(str, arguments), "--json"],
            env=given | self.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == code, done.stderr
        return done.stderr if code else orjson.loads(done.stdout)

    def write(self, plain: Plain) -> Path:
        path = self.home / "recipe.yaml"
        path.write_text(yaml.safe_dump(plain))
        return path

    def row(self, run: int) -> RunRow:
        with self.registry.engine.connect() as connection:
            return runs.get_run(connection, run)

    def finished(self, run: int) -> RunRow:
        """Return the run once it is open no more."""
        until(lambda: self.row(run).state != "open", f"the end of run {run}\n{self.said()}")
        return self.row(run)

    def said(self) -> str:
        return "\n".join(node.said for node in self.nodes)

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.registry.connection(autocommit=True) as connection:
            return connection.execute(sql, values).fetchall()

    def workers_of(self, node: Node) -> list[int]:
        return [row[0] for row in self.ask("SELECT id FROM workers WHERE pid = ANY(%s)", list(node.pids))]

    def outcome(self, registry: Registry | None = None) -> set[tuple[str, ...]]:
        """Return query, state and sample of every item, by content hashes."""
        with (registry or self.registry).connection(autocommit=True) as connection:
            return set(
                connection.execute(
                    "SELECT encode(queries.hash, 'hex'), state || coalesce(reason, ''),"
                    " coalesce(encode(samples.hash, 'hex') || encode(lineage, 'hex'), '')"
                    " FROM work_items JOIN queries ON queries.id = query_id LEFT JOIN samples USING (run_id, query_id)"
                ).fetchall()
            )

    def broker_pid(self) -> int:
        """Return the process of the embedded broker: the one that works in its folder."""
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink() == self.home / "broker":
                    return int(entry.name)
        raise AssertionError("there is no embedded broker")

    def close(self) -> None:
        for node in self.nodes:
            if node.pids:
                node.kill()
        embedded_broker.stop(self.home)


@pytest.fixture
def fleet(registry: Registry, tmp_path: Path) -> Iterator[Fleet]:
    with serving("--latency", 0.1) as endpoint:
        fleet = Fleet(registry, tmp_path / "home", endpoint)
        try:
            yield fleet
        finally:
            fleet.close()
