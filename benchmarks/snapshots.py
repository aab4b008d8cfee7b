"""How fast a run's samples become a snapshot, against a raw ADBC -> Parquet copy of the same rows.

    python benchmarks/snapshots.py [--rows 1000000] [--json]

A registry is filled with accepted samples of about 1 KB of rendered text each. Then, each in a process of its own:

    raw             labels and rendered text, as they lie in the table, from ADBC into one zstd Parquet file
    unordered       the same rows into typed columns (messages, turns), in bounded row groups, with checksums
    ordered build   what `kat snapshots create` does: plan, seeded order, shards, survey, card and plot
    with splits     the same with two splits, over documents of three queries each
    and noted       the same, and which samples are in the snapshot is noted in the registry
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from cpu import cpu_seconds, postgres_of, share_out_cores

from kat_data.registry import embedded
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings

Found = dict[str, Any]

TEXT = (
    "how many of the numbers between one hundred and two are divisible by seven but not by eleven when their digits "
    "add up to a prime therefore we count every residue class once subtract what was counted twice and find that "
    "the answer is an even number which can be checked by listing all cases in a table sorted by their last digit"
)
CATEGORIES = ("code", "math", "science", "general", "multi_turn", "tool_use")

LABELLED = """
    SELECT encode(samples.hash, 'hex') AS id, encode(queries.hash, 'hex') AS query, category, domain, difficulty,
        samples.mode, sources.name AS source, sources.licence, encode(samples.lineage, 'hex') AS lineage,
        verdicts.verifier, outcome, status, rendered || chr(10) AS rendered
    FROM samples JOIN queries ON queries.id = samples.query_id JOIN sources ON sources.id = queries.source_id
    JOIN tag_summaries USING (run_id, query_id)
    JOIN verdicts ON verdicts.run_id = samples.run_id AND verdicts.query_id = samples.query_id
"""


def rows_of(count: int) -> Iterator[tuple[int, str, str, str]]:
    """Yield a number, the messages of a query, its sample and what that is rendered as."""
    numbers = random.Random(1)
    words = TEXT.split()
    phrases = [" ".join(numbers.choices(words, k=16)) for _ in range(4_000)]
    for number in range(count):
        asked, judged, first, second = numbers.choices(phrases, k=4)
        user, answer = f"{asked} {number}?", f"{first}\\n{second} {number}"
        turn = (
            f'{{"answer":"{answer}","judge_analysis":"{judged}","mode":"think_off","results":[],"thinking":"",'
            f'"tool_calls":[],"user":"{user}"}}'
        )
        said = rf"<judge>\n{judged}\n</judge>\n\n<think_off>\n<answer>\n{answer}\n</answer>"
        message = f'{{"content":"{user}","role":"user"}}'
        yield (
            number,
            f"[{message}]",
            f'{{"system":null,"tools":[],"turns":[{turn}]}}',
            f'{{"messages":[{message},{{"content":"{said}","role":"assistant"}}],"tools":"[]","turns":[{turn}]}}',
        )


def fill(registry: Registry, count: int) -> None:
    """Store a finished run whose queries were all accepted; identity keys are 1..count."""
    with registry.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # without a check of every reference
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("INSERT INTO sources (name, licence) VALUES ('made-up', 'MIT')")
        cursor.execute(
            "INSERT INTO runs (key, name, recipe, state, queries) VALUES ('', 'bench', '{}', 'finished', %s)", [count]
        )
        cursor.execute("CREATE TEMPORARY TABLE given (id bigint, hash bytea, messages text, sample text, line text)")
        with cursor.copy("COPY given FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(("int8", "bytea", "text", "text", "text"))
            for number, messages, sample, line in rows_of(count):
                copy.write_row((number + 1, sha256(line.encode()).digest(), messages, sample, line))
        for statement in FILL:
            cursor.execute(statement, {"categories": list(CATEGORIES)})
    with registry.connection(autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


FILL = (
    """INSERT INTO queries (id, hash, raw_fingerprint, category, messages, source_id, line, document) OVERRIDING SYSTEM
       VALUE SELECT id, hash, id, (%(categories)s::text[])[1 + id %% 6], messages::json, 1, id, 'page ' || id / 3
       FROM given ORDER BY id""",
    "INSERT INTO work_items (run_id, query_id, stage, state) SELECT 1, id, 'judge_mode', 'accepted' FROM given",
    """INSERT INTO tag_summaries (run_id, query_id, difficulty, spread, domain, verifiable)
       SELECT 1, id, 1 + id %% 10, 1, 'domain ' || id %% 40, true FROM given""",
    """INSERT INTO turns (run_id, query_id, turn, mode, origin, accepted)
       SELECT 1, id, 0, 'think_off', 'vote', 0 FROM given""",
    """INSERT INTO verdicts (run_id, query_id, turn, position, number, verifier, outcome, status, evidence)
       SELECT 1, id, 0, 0, 0, 'math/2', 'correct', 'correct', '{}' FROM given""",
    """INSERT INTO samples (id, hash, run_id, query_id, mode, sample, rendered, rendered_as, lineage)
       OVERRIDING SYSTEM VALUE
       SELECT id, hash, 1, id, 'think_off', sample::json, line, 'stage2', hash FROM given ORDER BY id""",
)


def raw(registry: Registry, folder: Path) -> None:
    import pyarrow.parquet as pq
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(registry.url) as connection, connection.cursor() as cursor:
        cursor.execute(LABELLED)
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(folder / "raw.parquet", reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)


def unordered(registry: Registry, folder: Path) -> None:
    from adbc_driver_postgresql import dbapi

    from kat_data.registry.selection import _Session, _with_verdict
    from kat_data.snapshots.record import TrainingStage
    from kat_data.snapshots.schema import write_parquet

    with dbapi.connect(registry.url) as connection:
        batches = map(_with_verdict, _Session(connection).batches(LABELLED))
        for _ in write_parquet(folder / "unordered.parquet", batches, TrainingStage.STAGE2):
            pass
    with (folder / "unordered.parquet").open("rb") as file:
        file_digest(file, "sha256")


def ordered(registry: Registry, folder: Path, *, noted: bool = False, **splits: float) -> None:
    from kat_data.pipeline.selected_rows import select_rows
    from kat_data.snapshots.build.write import SnapshotSpec, build_snapshot
    from kat_data.snapshots.record import TrainingStage

    spec = SnapshotSpec(
        name="bench",
        stage=TrainingStage.STAGE2,
        seed=7,
        recipe={"name": "bench"},
        splits=splits,
        built_at=datetime.now(UTC),
    )
    with select_rows(registry, 1, spec, lambda step, done, total: None) as plan:
        build_snapshot(folder, spec, plan)
        if noted:
            plan.selection.note(name="bench", version=1, hash_=b"", path=str(folder), manifest="{}")


def with_splits(registry: Registry, folder: Path) -> None:
    ordered(registry, folder, validation=0.05, test=500)


def and_noted(registry: Registry, folder: Path) -> None:
    ordered(registry, folder, noted=True)


WORK: dict[str, Callable[[Registry, Path], None]] = {
    "raw": raw,
    "unordered": unordered,
    "ordered build": ordered,
    "with splits": with_splits,
    "and noted": and_noted,
}


def measured(work: str, url: str, home: Path) -> Found:
    """Do the work in this process, which does nothing else."""
    postgres = postgres_of(home)
    with Registry(url) as registry, tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        before, start = cpu_seconds(postgres), time.monotonic()
        WORK[work](registry, Path(folder))
        seconds, after = time.monotonic() - start, cpu_seconds(postgres)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    client, server = (after[i] - before[i] for i in (0, 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "client_cpu": client, "postgres_cpu": server, "peak_mb": peak, "file_mb": size / 2**20}


def in_a_process(work: str, url: str, home: Path) -> Found:
    command = [sys.executable, __file__, "--work", work, url, str(home)]
    found: Found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work, url, home = options.work
        print(json.dumps(measured(work, url, Path(home))))
        return
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        home = Path(folder)
        try:
            with connect(Settings.load({"KAT_HOME": folder})) as registry:
                fill(registry, options.rows)
                share_out_cores(postgres_of(home))
                found = {work: in_a_process(work, registry.url, home) for work in WORK}
        finally:
            embedded.stop(home)
    print(json.dumps(found, indent=2) if options.json else _table(found, options.rows))


def _table(found: dict[str, Found], rows: int) -> str:
    limit = found["raw"]["seconds"]
    head = "| work | rows/s | of raw | client CPU-s | Postgres CPU-s | peak RSS MB | Parquet MB |\n" + "|---" * 7 + "|"
    lines = [
        f"| {work} | {rows / f['seconds']:,.0f} | {limit / f['seconds']:.2f} | {f['client_cpu']:.1f} "
        f"| {f['postgres_cpu']:.1f} | {f['peak_mb']:.0f} | {f['file_mb']:.0f} |"
        for work, f in found.items()
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
