"""Withdrawing a whole source, beside what the rows alone cost: with its items under way, samples and a snapshot.

    python benchmarks/withdrawals.py [--queries 1000000] [--json]

As many queries of another source stay. A tenth of the items is under way, the rest has brought samples, and a snapshot
holds these. Then: what a run may choose from, and which samples still stand, beside the same without the conditions.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    " VALUES ('bench', 1, '\\xab', 'stage2', '/nowhere', '{}')",
    "INSERT INTO snapshot_rows SELECT 1, id FROM samples",
    "INSERT INTO decisions (event, sample_id, sample_hash, curator, act)"
    " SELECT id::text, id, hash, 'ana', CASE WHEN id % 3 = 0 THEN 'reject' ELSE 'accept' END FROM samples"
    " WHERE id % 20 = 0",
)


def measure(registry: Registry, queries: int) -> dict[str, Any]:
    """Fill the registry and return the seconds of everything."""
    with registry.engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), {"queries": queries} if ":queries" in statement else {})
    with registry.connection(autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")
    before = _looks(registry)
    withdrawal: list[withdrawals.Withdrawal] = []
    seconds = {
        "rows": _in_transaction(registry, _rows_alone),
        "withdraw": _in_transaction(
            registry, lambda c: withdrawal.append(withdrawals.withdraw_source(c, "withdrawn", WHY))
        ),
    }
    after = _looks(registry)
    holders: dict[str, Any] = {}
    seconds["report"] = _in_transaction(registry, lambda c: holders.update(withdrawals.holders(c, withdrawal[0].id)))
    seconds["import_5000"] = _timed(lambda: _import(registry))
    seconds["undo"] = _in_transaction(registry, lambda c: withdrawals.undo(c, withdrawal[0].id, WHY))
    return {
        "queries": withdrawal[0].queries,
        "dropped": sum(row["items"] for row in withdrawal[0].dropped),
        "rows_held": sum(row["rows"] for row in holders["snapshots"]),
        "seconds": seconds,
        "before": before,
        "after": after,
    }


def _rows_alone(connection: Connection) -> None:
    columns = "query_id bigint, withdrawal_id bigint, PRIMARY KEY (query_id, withdrawal_id)"
    connection.execute(text(f"CREATE TEMPORARY TABLE bare ({columns})"))
    connection.execute(text("INSERT INTO bare SELECT id, 1 FROM queries WHERE source_id = 2 ORDER BY id"))


def _looks(registry: Registry) -> dict[str, float]:
    """Seconds of what runs, snapshots and people ask."""
    return {
        "choose": _in_transaction(registry, lambda c: count_chosen(c, Choice())),
        "samples": _in_transaction(registry, lambda c: c.execute(text("SELECT count(hash) FROM samples"))),
        "samples_standing": _in_transaction(
            registry, lambda c: c.execute(text(f"SELECT count(hash) FROM samples WHERE {STANDS}"))
        ),
        "snapshot_lineage": _in_transaction(registry, lambda c: snapshot_lineage(c, "ab")),
    }


def _import(registry: Registry) -> None:
    items = list(enumerate((a_query(f"new {n}") for n in range(5000)), 1))
    described = {"licence": "none", "file_name": "bench", "preset": "plain", "fingerprint": b"bench"}
    assert import_queries(registry, items, source="withdrawn", **described).withdrawn == 5000


def _in_transaction(registry: Registry, work: Callable[[Connection], Any]) -> float:
    def worked() -> None:
        with registry.engine.begin() as connection:
            work(connection)

    return _timed(worked)


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def table(found: dict[str, Any]) -> str:
    seconds, before, after = found["seconds"], found["before"], found["after"]
    rows = [
        ("rows with their key alone, into a temporary table", seconds["rows"]),
        (f"withdraw {found['queries']:,} queries, drop {found['dropped']:,} items", seconds["withdraw"]),
        (f"report {found['rows_held']:,} rows of a snapshot", seconds["report"]),
        ("undo that", seconds["undo"]),
        ("import 5,000 more of the withdrawn source", seconds["import_5000"]),
    ]
    rows += [(f"{name}, nothing withdrawn / withdrawn", f"{before[name]:.2f} / {after[name]:.2f}") for name in before]
    lines = ["| work | seconds |", "|---|---|"]
    lines += [f"| {name} | {value if isinstance(value, str) else format(value, '.2f')} |" for name, value in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        try:
            with connect(Settings.load({"KAT_HOME": folder})) as registry:
                found = measure(registry, options.queries)
        finally:
            embedded.stop(Path(folder))
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
