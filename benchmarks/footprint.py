"""What a run leaves behind: rows and bytes of every table by query, and what Postgres wrote by call.

    python benchmarks/footprint.py [--queries 3000] [--json]

A run of eight stages over so many queries, against the scripted server, worked on by this process. The server's answers
are short: what longer ones add is their text, as Postgres compresses it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import text
from stages import NEW_QUERIES, add_benchmark, recipe

from kat_data.executors.local import execute_run
from kat_data.pipeline.run import open_run
from kat_data.registry import embedded
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings

TABLES = """
    SELECT relname AS table, reltuples::bigint AS rows, pg_table_size(oid) AS data, pg_indexes_size(oid) AS indexes
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples >= %(least)s
    ORDER BY pg_total_relation_size(oid) DESC
"""

TEXTS = """
    SELECT avg(pg_column_size(request)) AS request, avg(pg_column_size(reply)) AS reply,
        avg(length(request::text)) AS request_text, avg(length(reply::text)) AS reply_text FROM calls
"""

WRITTEN = """
    SELECT (SELECT wal_bytes FROM pg_stat_wal)::float AS wal_bytes,
        (SELECT wal_records FROM pg_stat_wal)::float AS wal_records,
        (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float AS transactions,
        (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')::float AS fsyncs
"""


def measure(registry: Registry, url: str, queries: int) -> dict[str, Any]:
    """Run, and return what the run has left and made Postgres write."""
    with registry.engine.begin() as connection:
        source = connection.execute(
            text("INSERT INTO sources (name, licence) VALUES ('bench', 'none') RETURNING id")
        ).scalar_one()
        connection.execute(text(NEW_QUERIES), {"first": 1, "last": queries, "source": source})
    add_benchmark(registry)
    run, _ = open_run(registry, recipe(url, queries, 64))
    with registry.connection(autocommit=True) as connection:
        before = _one(connection, WRITTEN)
        asyncio.run(execute_run(registry, run))
        connection.execute("SELECT pg_stat_force_next_flush()")
        after = _one(connection, WRITTEN)
        connection.execute("VACUUM ANALYZE")
        tables = connection.cursor(row_factory=dict_row).execute(TABLES, {"least": queries // 10}).fetchall()
        calls = _one(connection, "SELECT count(*) AS calls FROM calls")["calls"]
        texts = _one(connection, TEXTS)
    return {
        "queries": queries,
        "calls": calls,
        "by_call": {name: (after[name] - before[name]) / calls for name in before},
        "texts": {name: float(value) for name, value in texts.items()},
        "tables": tables,
    }


def _one(connection: "psycopg.Connection[Any]", sql: str) -> dict[str, Any]:
    row = connection.cursor(row_factory=dict_row).execute(sql).fetchone()
    assert row is not None
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=3000)
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
            with connect(Settings.load({"KAT_HOME": folder})) as registry:
                found = measure(registry, url, options.queries)
        finally:
            server.terminate()
            embedded.stop(Path(folder))
    print(json.dumps(found, indent=2) if options.json else table(found))


def table(found: dict[str, Any]) -> str:
    queries = found["queries"]
    lines = ["| table | rows a query | bytes a row | of them indexes | bytes a query |", "|---" * 5 + "|"]
    for one in found["tables"]:
        whole = one["data"] + one["indexes"]
        cells = (whole / one["rows"], one["indexes"] / one["rows"], whole / queries)
        lines.append(
            f"| {one['table']} | {one['rows'] / queries:.2f} | " + " | ".join(f"{n:,.0f}" for n in cells) + " |"
        )
    total = sum(one["data"] + one["indexes"] for one in found["tables"]) / queries
    lines.append(f"| all | | | | {total:,.0f} |")
    by_call, texts = found["by_call"], found["texts"]
    lines.append(
        f"\n{found['calls'] / queries:.1f} calls a query. Written for a call: {by_call['wal_bytes']:,.0f} bytes of log "
        f"in {by_call['wal_records']:.0f} records, {1000 * by_call['transactions']:.0f} transactions and "
        f"{1000 * by_call['fsyncs']:.0f} fsyncs for 1,000 calls. A request has {texts['request_text']:,.0f} characters "
        f"({texts['request']:,.0f} bytes stored), a reply {texts['reply_text']:,.0f} ({texts['reply']:,.0f})."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
