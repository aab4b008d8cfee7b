"""Withdrawing a whole source, beside what the rows alone cost: with its items under way, samples and a snapshot.

    python benchmarks/withdrawals.py [--queries 1000000] [--json]

As many queries of another source stay. A tenth of the items is under way, the rest has brought samples, and a snapshot
holds these; one sample in twenty has a decision. What runs, snapshots and people ask is asked before and after.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from cpu import cpu_seconds, postgres_of
from sqlalchemy import Connection, text

from kat_data.registry import embedded, withdrawals
from kat_data.registry.choice import Choice, count_chosen
from kat_data.registry.imports import import_queries
from kat_data.registry.lineage import snapshot_lineage
from kat_data.registry.session import Registry, connect
from kat_data.registry.standing import STANDS
from kat_data.registry.withdrawals import Why
from kat_data.settings import Settings
from kat_data.testing import a_query

WHY = Why(reason="benchmark", by="nobody")

FILL = (
    "INSERT INTO sources (name, licence) VALUES ('kept', 'none'), ('withdrawn', 'none')",
    "INSERT INTO queries (hash, raw_fingerprint, category, messages, source_id)"
    " SELECT sha256(n::text::bytea), n, 'general', '[]', 1 + n % 2 FROM generate_series(1, 2 * :queries) AS n",
    "INSERT INTO runs (key, name, recipe, state, queries) VALUES ('', 'bench', '{}', 'open', 2 * :queries)",
    "INSERT INTO work_items (run_id, query_id, stage, state)"
    " SELECT 1, id, 'judge_mode', CASE WHEN id % 20 < 2 THEN 'ready' ELSE 'accepted' END FROM queries",
    "INSERT INTO samples (hash, run_id, query_id, sample, lineage)"
    " SELECT sha256(sha256(query_id::text::bytea)), 1, query_id, '{}', '' FROM work_items WHERE state = 'accepted'",
    "INSERT INTO snapshots (name, version, hash, stage, path, manifest)"
    " VALUES ('bench', 1, sha256('bench'), 'stage2', '/nowhere', '{}')",
    "INSERT INTO snapshot_rows SELECT 1, id FROM samples",
    "INSERT INTO decisions (event, sample_id, sample_hash, curator, act)"
    " SELECT id::text, id, hash, 'ana', CASE WHEN id % 3 = 0 THEN 'reject' ELSE 'accept' END FROM samples"
    " WHERE id % 20 = 0",
)


class Meter:
    """Runs work in transactions of its own; says what each took in seconds, and in CPU seconds of Postgres."""

    def __init__(self, registry: Registry, postgres: list[psutil.Process]) -> None:
        self._registry = registry
        self._postgres = postgres
        self.found: dict[str, tuple[float, float]] = {}

    def __call__(self, name: str, work: Callable[[Connection], Any]) -> Any:
        start, cpu = time.perf_counter(), cpu_seconds(self._postgres)[1]
        with self._registry.engine.begin() as connection:
            result = work(connection)
        self.found[name] = time.perf_counter() - start, cpu_seconds(self._postgres)[1] - cpu
        return result


def measure(registry: Registry, home: Path, queries: int) -> dict[str, tuple[float, float]]:
    """Fill the registry and return what everything took."""
    with registry.engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), {"queries": queries} if ":queries" in statement else {})
    with registry.connection(autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")
    meter = Meter(registry, postgres_of(home))
    _look(meter, "nothing withdrawn")
    meter("rows with their key alone, into a temporary table", _rows_alone)
    done = meter("withdraw the source, drop its items", lambda c: withdrawals.withdraw_source(c, "withdrawn", WHY))
    assert (done.queries, done.dropped[0]["items"]) == (queries, queries // 10)
    meter("report what holds some of it", lambda c: withdrawals.holders(c, done.id))
    _look(meter, "withdrawn")
    meter("import 5,000 more of the source", lambda _: _import(registry))
    meter("undo", lambda c: withdrawals.undo(c, done.id, WHY))
    return meter.found


def _rows_alone(connection: Connection) -> None:
    columns = "query_id bigint, withdrawal_id bigint, PRIMARY KEY (query_id, withdrawal_id)"
    connection.execute(text(f"CREATE TEMPORARY TABLE bare ({columns})"))
    connection.execute(text("INSERT INTO bare SELECT id, 1 FROM queries WHERE source_id = 2 ORDER BY id"))


def _look(meter: Meter, when: str) -> None:
    """What runs, snapshots and people ask."""
    meter(f"choose among all queries, {when}", lambda c: count_chosen(c, Choice()))
    meter(f"all samples, {when}", lambda c: c.execute(text("SELECT count(hash) FROM samples")))
    standing = text(f"SELECT count(hash) FROM samples WHERE {STANDS}")
    meter(f"the samples that stand, {when}", lambda c: c.execute(standing))
    meter(f"lineage of the snapshot, {when}", lambda c: snapshot_lineage(c, hashlib.sha256(b"bench").hexdigest()))


def _import(registry: Registry) -> None:
    items = list(enumerate((a_query(f"new {n}") for n in range(5000)), 1))
    described = {"licence": "none", "file_name": "bench", "preset": "plain", "fingerprint": b"bench"}
    assert import_queries(registry, items, source="withdrawn", **described).withdrawn == 5000


def table(found: dict[str, tuple[float, float]]) -> str:
    lines = ["| work | seconds | CPU-s of Postgres |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {wall:.2f} | {cpu:.2f} |" for name, (wall, cpu) in found.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        try:
            with connect(Settings.load({"KAT_HOME": folder})) as registry:
                found = measure(registry, Path(folder), options.queries)
        finally:
            embedded.stop(Path(folder))
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
