"""Queries in the registry, and runs over them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kat_data.domain.call import Charge
from kat_data.domain.query import Query
from kat_data.hashing import content_hash
from kat_data.registry import runs
from kat_data.registry.choice import Choice
from kat_data.registry.imports import import_queries
from kat_data.registry.overview import run_overview
from kat_data.registry.runs import RunRow, WantedRun
from kat_data.registry.session import Registry
from kat_data.testing import a_query

Spent = Callable[..., Charge]
AddQueries = Callable[..., None]
OpenRun = Callable[..., RunRow]


@pytest.fixture(scope="session")
def measured_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps for all tests what labelled cases say of the verifiers, which takes some ten seconds."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def spent(registry: Registry) -> Spent:
    """Say what a run has been charged, with what its calls in flight may cost."""

    def spent_by(run: int = 1) -> Charge:
        with registry.engine.connect() as connection:
            found = run_overview(connection, run)
        return Charge(usd=found.usd, tokens=found.tokens) + Charge(usd=found.reserved_usd, tokens=found.reserved_tokens)

    return spent_by


@pytest.fixture
def add_queries(registry: Registry) -> AddQueries:
    """Store queries as an import does, in the test's registry or another."""

    def add(*queries: Query, to: Registry = registry, source: str = "test", licence: str = "Apache-2.0") -> None:
        import_queries(
            to,
            list(enumerate(queries, 1)),
            source=source,
            licence=licence,
            file_name="test.jsonl",
            preset="plain",
            fingerprint=content_hash([query.hash.hex() for query in queries]),
        )

    return add


@pytest.fixture
def open_run(registry: Registry, add_queries: AddQueries) -> OpenRun:
    """Open a run over queries of the test's own, or over some sums; its first stage is `first`."""

    def open_(*queries: Query, sums: int = 3, identity: str = "recipe") -> RunRow:
        add_queries(*(queries or (a_query(f"What is {n} + 1?", reference=str(n + 1)) for n in range(sums))))
        with registry.engine.begin() as connection:
            wanted = WantedRun(name="test", recipe={"name": "test"}, identity={"recipe": identity}, first_stage="first")
            row, _ = runs.open_run(connection, wanted, Choice())
        return row

    return open_
