"""What one look at the registry costs as runs grow: a scrape of `kat metrics`, a look of `kat runs watch`, the counts.

    python benchmarks/scrape.py [items …]

Each size is a registry of its own with one open run of that many items, three stage attempts and three calls for each,
and a hundred workers' tallies. The peer is what the same numbers cost when they are counted anew.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, text

from kat_data.metrics.exposition import collectors, exposition
from kat_data.registry import embedded
from kat_data.registry.overview import run_overview
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings

STAGES = ("normalise", "tag", "vote_mode", "sample_on", "verify", "judge_mode")

FILL = """
    INSERT INTO sources (name, licence) VALUES ('made up', 'CC0-1.0');
    INSERT INTO queries (hash, raw_fingerprint, category, messages, source_id)
        SELECT sha256(n::text::bytea), n, 'math', '[]', (SELECT max(id) FROM sources) FROM generate_series(1, :items) n;
    INSERT INTO runs (key, name, recipe, state, queries)
        VALUES ('x', 'big', '{"stages": [], "budget": {"usd": 100}}', 'open', :items);
    INSERT INTO work_items (run_id, query_id, stage, state)
        SELECT 1, id, (:stages)[1 + id % 6], CASE WHEN id % 2 = 0 THEN 'ready' ELSE 'accepted' END FROM queries;
    UPDATE work_items SET worker_id = 1, available_at = now() + interval '1 hour' WHERE query_id <= 1000;
    INSERT INTO stage_attempts (run_id, query_id, turn, stage, started_at, seconds, outcome, calls)
        SELECT 1, id, 0, (:stages)[1 + id % 6], now(), 1.0, 'done', '{}' FROM queries, generate_series(1, 3);
    INSERT INTO calls (key, model, revision, state, request, finish_reason, usd, tokens, seconds, run_id, worker_id)
        SELECT sha256((id || '/' || n)::bytea), 'one', '', 'done', json_build_object('text', repeat('x', 300)), 'stop',
            0.001, 900, 1.0, 1, 1
        FROM queries, generate_series(1, 3) AS n;
    INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count, tokens, usd, seconds)
        SELECT 1, worker, kind, stage, outcome, 100, 90000, 0.1, 100.0
        FROM generate_series(1, 100) AS worker, unnest(ARRAY['item', 'attempt', 'call', 'verdict']) AS kind,
            unnest(:stages) AS stage, unnest(ARRAY['ready', 'accepted', 'dropped']) AS outcome
"""

COUNTED = (
    "SELECT stage, state, count(*) FROM work_items WHERE run_id = 1 GROUP BY stage, state",
    "SELECT stage, outcome, count(*), sum(seconds) FROM stage_attempts WHERE run_id = 1 GROUP BY stage, outcome",
    "SELECT model, finish_reason, count(*), sum(tokens), sum(usd) FROM calls WHERE run_id = 1 GROUP BY 1, 2",
)


def fill(registry: Registry, items: int) -> None:
    with registry.engine.begin() as connection:
        stages = "ARRAY['" + "','".join(STAGES) + "']"
        for statement in FILL.split(";"):
            connection.execute(text(statement.replace(":items", str(items)).replace(":stages", stages)))
    with registry.connection(autocommit=True) as bare:
        bare.execute("VACUUM ANALYZE")


def counted(connection: Connection) -> None:
    for statement in COUNTED:
        connection.execute(text(statement)).all()


def median_ms(work: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return sorted(took)[times // 2] * 1000


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    print(f"{'items':>10} {'calls':>10} {'scrape ms':>10} {'look ms':>10} {'counted anew ms':>16}")
    for items in sizes:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            try:
                with connect(Settings.load({"KAT_HOME": str(home)})) as registry:
                    fill(registry, items)
                    served = collectors(registry, None)
                    with registry.engine.connect() as connection:
                        scrape = median_ms(lambda served=served: exposition(served), 21)
                        look = median_ms(lambda connection=connection: run_overview(connection, 1), 21)
                        anew = median_ms(lambda connection=connection: counted(connection), 3)
                print(f"{items:>10,} {3 * items:>10,} {scrape:>10.1f} {look:>10.1f} {anew:>16.1f}", flush=True)
            finally:
                embedded.stop(home)


if __name__ == "__main__":
    main()
