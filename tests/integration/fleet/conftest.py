"""Nodes of the fleet on a test's own database, broker and endpoint."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from kat_data.domain.query import Query, VerifierKind, VerifierSpec
from kat_data.registry.session import Registry
from kat_data.testing import a_query, fleet
from kat_data.testing.endpoint import Endpoint, serving
from kat_data.testing.patience import PATIENCE_SECONDS, until

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


def sums(number: int, *, start: int = 0) -> list[Query]:
    """Queries of which the scripted endpoint answers three in four right."""
    return [a_query(f"What is {n} + {3 * n}?", reference=str(4 * n)) for n in range(start, start + number)]


def easy(number: int) -> list[Query]:
    """Queries whose verifier accepts every answer, and starts no process."""
    spec = VerifierSpec(kind=VerifierKind.KEYWORD, options={"keywords": ["result"]})
    return [a_query(f"Tell me of the result {n}.", reference=None, verifier=spec) for n in range(number)]


class Fleet(fleet.Fleet):
    """A fleet with an endpoint of its own, on the test's database, and a shell beside it."""

    sums = staticmethod(sums)
    easy = staticmethod(easy)
    until = staticmethod(until)

    def __init__(self, registry: Registry, home: Path, endpoint: Endpoint) -> None:
        home.mkdir()
        super().__init__(home, registry, {"KAT_DATABASE_URL": registry.url})
        self.endpoint = endpoint

    def recipe(self, *, endpoint: Plain | None = None, **parts: Any) -> Plain:
        plain = copy.deepcopy(LEAN) | parts
        plain["endpoints"]["scripted"] |= {"url": self.endpoint.url, **(endpoint or {})}
        return plain

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

    def held_after(self, requests: int) -> None:
        """Wait until the endpoint has answered so many requests; it holds the next ones until `endpoint.release`."""
        until(lambda: self.endpoint.requests > requests, lambda: f"{requests} requests\n{self.said()}")


@pytest.fixture(name="fleet")
def a_fleet(registry: Registry, tmp_path: Path) -> Iterator[Fleet]:
    with serving("--latency", 0.1) as endpoint:
        made = Fleet(registry, tmp_path / "home", endpoint)
        try:
            yield made
        finally:
            made.close()
