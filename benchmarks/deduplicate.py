"""Deduplication of a whole registry: CPU by part, memory, what an increment costs, and look-ups against all of it.

    python benchmarks/deduplicate.py [--texts 1000000] [--increment 10000] [--planted 20000] [--json]

The texts and planted copies are those of `near_duplicates.py`, imported as general queries. Each pass runs in a process
of its own, whose peak memory is given; CPU seconds are given for it and for Postgres, by part of the work:

    candidates    from text to candidates: fingerprints, and look-ups in the file of sorted runs (or in Postgres)
    band_writes   the 25 keys of each text, to Postgres and to the file
    rest          reading the queries, the exact check, tasks, pairs, clusters, commits, ANALYZE
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial, wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from cpu import cpu_seconds, postgres_of
from near_duplicates import BINS, KNOWN, Corpus, planted_corpus, similarity, triples

from kat_data.dedup import near
from kat_data.dedup.band_store import BandStore
from kat_data.dedup.bands import BANDS
from kat_data.dedup.near import THRESHOLD, fingerprints
from kat_data.domain.category import Category
from kat_data.domain.query import Query
from kat_data.pipeline import deduplication
from kat_data.pipeline.band_stores import MirroredBands, RegistryBands, folder_of
from kat_data.registry import clusters, embedded
from kat_data.registry.imports import import_queries
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings
from kat_data.testing import a_query

BATCH = 16_384
PROBES = {"postgres": 2 * BATCH, "sorted_runs": 8 * BATCH}

Found = dict[str, Any]


def query_of(text: str) -> Query:
    return a_query(text, reference=None, category=Category.GENERAL, source="made-up", licence="none")


def add(registry: Registry, texts: list[str], name: str) -> None:
    import_queries(
        registry,
        ((line, query_of(text)) for line, text in enumerate(texts, 1)),
        source="made-up",
        licence="none",
        file_name=name,
        preset="plain",
        fingerprint=name.encode(),
    )


class Parts:
    """CPU seconds by part of the work, of this process and of Postgres."""

    def __init__(self, postgres: list[psutil.Process]) -> None:
        self._postgres = postgres
        self._start = cpu_seconds(postgres)
        self.spent = {"candidates": [0.0, 0.0], "band_writes": [0.0, 0.0]}

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def measured(*args: Any, **options: Any) -> Any:
            before = cpu_seconds(self._postgres)
            try:
                return work(*args, **options)
            finally:
                after = cpu_seconds(self._postgres)
                self.spent[part] = [self.spent[part][i] + after[i] - before[i] for i in (0, 1)]

        return measured

    def result(self) -> dict[str, Found]:
        after = cpu_seconds(self._postgres)
        whole = [after[i] - self._start[i] for i in (0, 1)]
        rest = [whole[i] - sum(spent[i] for spent in self.spent.values()) for i in (0, 1)]
        return {
            part: {"client": client, "postgres": server}
            for part, (client, server) in {**self.spent, "rest": rest, "whole": whole}.items()
        }


def one_pass(url: str, home: Path, *, with_file: bool = True) -> Found:
    """Compare what is new, as `kat deduplicate` does, or as a run does, which has no file."""
    parts = Parts(postgres_of(home))
    near.fingerprints = parts.timed("candidates", near.fingerprints)
    store = MirroredBands if with_file else RegistryBands
    store.candidates = parts.timed("candidates", store.candidates)  # type: ignore[method-assign]
    store.put = parts.timed("band_writes", store.put)  # type: ignore[method-assign]
    start = time.monotonic()
    with Registry(url) as registry:
        compared = deduplication.compare_queries(registry, home=home if with_file else None)
    seconds = time.monotonic() - start
    return {"texts": compared, "seconds": seconds, "cpu_seconds": parts.result(), "peak_mb": peak_mb()}


def lookups(url: str, home: Path) -> Found:
    """Look texts up in batches, one in twenty of which is there; the file is made anew from Postgres first."""
    found = {}
    with Registry(url) as registry, clusters.open_connection(registry) as connection:
        marks = clusters.marks(connection, deduplication.METHOD)
        mirrored, start = MirroredBands(connection, folder_of(home, "anew")), time.monotonic()
        mirrored.catch_up(marks.checked)
        found["seconds_to_make_the_file_anew"] = time.monotonic() - start
        known = _known_keys(connection, max(PROBES.values()) // KNOWN)
        numbers = np.random.default_rng(3)
        unknown = numbers.integers(-(1 << 63), (1 << 63) - 1, ((KNOWN - 1) * len(known), BANDS))
        asked = numbers.permuted(np.concatenate([known, unknown]), axis=0)
        for name, store in {"postgres": RegistryBands(connection), "sorted_runs": mirrored}.items():
            found[f"{name}_per_second"] = _rate(store, asked[: PROBES[name]])
    return found


def _rate(store: BandStore, keys: "np.ndarray[Any, np.dtype[np.int64]]") -> float:
    store.candidates(keys[:10])  # opens what is opened once
    start = time.monotonic()
    for first in range(0, len(keys), BATCH):
        store.candidates(keys[first : first + BATCH])
    return len(keys) / (time.monotonic() - start)


def _known_keys(connection: Any, count: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    sql = "SELECT messages FROM queries WHERE mod(id, 17) = 0 ORDER BY id LIMIT %s"
    rows = connection.execute(sql, [count])
    return fingerprints([deduplication.compared_text(messages) for (messages,) in rows]).keys


def quality(registry: Registry, texts: list[str], planted: list[tuple[int, int, float]]) -> Found:
    """Compare the stored pairs with the truth; precision counts every stored pair, planted or not."""
    with registry.connection() as connection:
        ids = dict(connection.execute("SELECT hash, id FROM queries").fetchall())
        stored = {(a, b) for a, b in connection.execute("SELECT first, second FROM near_duplicates")}
        sql = """
            SELECT one.messages->0->>'content', other.messages->0->>'content' FROM near_duplicates
            JOIN queries AS one ON one.id = first JOIN queries AS other ON other.id = second
        """
        pairs = connection.execute(sql).fetchall()
        kept = dict(
            connection.execute(
                "SELECT query_id, representative FROM cluster_members JOIN clusters ON clusters.id = cluster_id"
            ).fetchall()
        )
    right = sum(similarity(*(triples(text.split()) for text in pair)) >= THRESHOLD for pair in pairs)
    placed = [(tuple(sorted(ids[query_of(texts[id_]).hash] for id_ in pair)), value) for *pair, value in planted]
    true = {pair for pair, value in placed if value >= THRESHOLD}
    both = sum(all(kept.get(id_, id_) == id_ for id_ in pair) for pair in true)
    return {
        "planted_pairs": len(planted),
        "planted_at_or_above_threshold": len(true),
        "recall": len(true & stored) / len(true),
        "precision": right / len(pairs),
        "true_pairs_of_which_both_stay": both,
        "by_similarity": {
            f"{low:.1f}-{high:.1f}": {
                "planted": sum(low <= value < high or value == high == 1.0 for _, value in placed),
                "found": sum(pair in stored for pair, value in placed if low <= value < high or value == high == 1.0),
            }
            for low, high in pairwise(BINS)
        },
    }


def in_a_process(work: str, url: str, home: Path) -> Found:
    done = subprocess.run(
        [sys.executable, __file__, "--work", work, url, str(home)], stdout=subprocess.PIPE, check=True
    )
    found: Found = json.loads(done.stdout)
    return found


def measure(options: argparse.Namespace, home: Path) -> Iterator[tuple[str, Any]]:
    texts, planted = planted_corpus(Corpus(1), options.texts, options.planted)
    with connect(Settings.load({"KAT_HOME": str(home)})) as registry:
        add(registry, texts, "first")
        yield "first_pass", in_a_process("pass", registry.url, home)
        yield "quality", quality(registry, texts, planted)
        for seed, work in enumerate(("pass", "pass_in_postgres"), 2):
            corpus = Corpus(seed)
            fresh = [" ".join(words) for words in corpus.texts(options.increment // 2)]
            copies = [" ".join(corpus.copy(text.split())) for text in texts[: options.increment - len(fresh)]]
            add(registry, fresh + copies, work)
            yield f"increment_{work}", in_a_process(work, registry.url, home)
        yield "lookups", in_a_process("lookups", registry.url, home)
        with registry.connection() as connection:
            sql = "SELECT pg_total_relation_size('bands'), pg_database_size(current_database())"
            bands, database = connection.execute(sql).fetchone() or (0, 0)
        files = sum(path.stat().st_size for path in (home / "bands").rglob("*"))
        sizes = {"bands": bands, "database": database, "files": files}
        yield "megabytes", {name: size // 2**20 for name, size in sizes.items()}


def peak_mb() -> float:
    """Return the most memory that this program held; what its parent held before it was started does not count."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--increment", type=int, default=10_000)
    parser.add_argument("--planted", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work, url, folder = options.work
        works = {"pass": one_pass, "pass_in_postgres": partial(one_pass, with_file=False), "lookups": lookups}
        print(json.dumps(works[work](url, Path(folder))))
        return
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        try:
            found = dict(measure(options, Path(folder)))
        finally:
            embedded.stop(Path(folder))
    print(json.dumps(found, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
