"""What a diff of two snapshots costs, beside Python sets and pandas over the same columns, and the bare reading.

    python benchmarks/snapshot_diff.py [--rows 1000000] [--changed 0.1] [--json]

Two folders are written directly as Parquet, with rows of about 1 KB. Of the second one a share lacks, as many are new,
as many have another sample of the same query, and as many another difficulty. Each way runs in a process of its own,
and has to find the same numbers.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kat_data.domain.change import ChangeKind
from kat_data.hashing import sha256
from kat_data.snapshots.compare.diff import difference
from kat_data.snapshots.manifest import MANIFEST, Hashed, Manifest, Shard, Unhashed
from kat_data.snapshots.read import open_snapshot
from kat_data.snapshots.record import TrainingStage

SHARD_ROWS = 50_000
LABELS = ["id", "query", "difficulty"]


def hashes(seed: int, numbers: np.ndarray) -> list[str]:
    """Return 64 hexadecimal digits for each number, the same for the same seed and number."""
    words = np.empty((len(numbers), 4), np.uint64)
    with np.errstate(over="ignore"):
        for place in range(4):
            mixed = (numbers.astype(np.uint64) + np.uint64(seed * 4 + place + 1)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            words[:, place] = mixed * np.uint64(0xBF58476D1CE4E5B9)
    text = words.tobytes().hex()
    return [text[start : start + 64] for start in range(0, len(text), 64)]


def write(folder: Path, queries: np.ndarray, samples: np.ndarray, difficulty: np.ndarray) -> None:
    """Write a snapshot of these queries and samples, by their numbers, in an order of its own."""
    rng = np.random.default_rng(len(queries))
    order = rng.permutation(len(queries))
    (folder / "data").mkdir(parents=True)
    shards = []
    for number, start in enumerate(range(0, len(order), SHARD_ROWS)):
        place = order[start : start + SHARD_ROWS]
        text = [rng.bytes(300).hex() + "the same words again and again " * 12 for _ in range(len(place))]
        table = pa.table(
            {
                "id": hashes(1, samples[place]),
                "query": hashes(2, queries[place]),
                "category": [f"category {n % 6}" for n in place],
                "domain": [f"domain {n % 200}" for n in queries[place]],
                "difficulty": difficulty[place],
                "mode": ["think_on"] * len(place),
                "source": [f"source {n % 7}" for n in queries[place]],
                "licence": ["Apache-2.0"] * len(place),
                "lineage": hashes(3, samples[place]),
                "messages": text,
            }
        )
        table = table.set_column(2, "category", pa.array([f"category {n % 6}" for n in queries[place]]))
        path = f"data/train-{number:05d}.parquet"
        pq.write_table(table, folder / path, compression="zstd", row_group_size=1_000)
        data = (folder / path).read_bytes()
        shards.append(Shard(path=path, split="train", rows=len(place), bytes=len(data), sha256=sha256(data).hex()))
    hashed = Hashed(
        name="made", stage=TrainingStage.STAGE2, schema_version=2, seed=0, recipe={}, models={}, verifiers=[],
        rows=len(order), duplicates=0, composition=(), sources={}, licences={}, shards=tuple(shards),
        code_version="0", writer={},
    )  # fmt: skip
    unhashed = Unhashed(version=1, built_at=datetime(2026, 1, 1, tzinfo=UTC).isoformat())
    (folder / MANIFEST).write_bytes(Manifest(hashed=hashed, unhashed=unhashed).to_bytes())


def write_two(folder: Path, rows: int, changed: float) -> dict[str, int]:
    """Write both snapshots, and return how many rows differ in which way."""
    many = int(rows * changed / 4)
    queries = np.arange(rows)
    difficulty = 1.0 + queries % 10
    write(folder / "before", queries, queries, difficulty)
    later = np.arange(many, rows + many)  # the first are gone, as many new ones came
    samples = np.where(later < 2 * many, later + 10 * rows, later)
    rescored = np.where((later >= 2 * many) & (later < 3 * many), 0.5, 1.0 + later % 10)
    write(folder / "after", later, samples, rescored)
    return {"added": many, "removed": many, "changed": 2 * many}


def with_kat_data(folder: Path) -> dict[str, int]:
    found = difference(open_snapshot(folder / "before"), open_snapshot(folder / "after"))
    return {kind.value: len(found.of(kind)) for kind in ChangeKind}


def with_sets(folder: Path) -> dict[str, int]:
    """What one writes without thinking: rows as Python objects, by id and by query."""
    sides = []
    for name in ("before", "after"):
        rows = pq.read_table(folder / name / "data", columns=LABELS).to_pylist()
        sides.append({row["id"]: row for row in rows})
    old, new = sides
    labels = sum(old[one]["difficulty"] != new[one]["difficulty"] for one in old.keys() & new.keys())
    gone = {old[one]["query"] for one in old.keys() - new.keys()}
    come = {new[one]["query"] for one in new.keys() - old.keys()}
    return {"added": len(come - gone), "removed": len(gone - come), "changed": len(come & gone) + labels}


def with_pandas(folder: Path) -> dict[str, int]:
    """An outer join of data frames by id, and one by query of what it leaves over."""
    import pandas as pd

    old, new = (pd.read_parquet(folder / name / "data", columns=LABELS) for name in ("before", "after"))
    both = old.merge(new, on="id", how="outer", indicator=True)
    labels = ((both["_merge"] == "both") & (both["difficulty_x"] != both["difficulty_y"])).sum()
    gone, come = both[both["_merge"] == "left_only"]["query_x"], both[both["_merge"] == "right_only"]["query_y"]
    others = gone.to_frame("query").merge(come.to_frame("query"), on="query", how="outer", indicator=True)["_merge"]
    counts = {kind: int((others == side).sum()) for kind, side in (("added", "right_only"), ("removed", "left_only"))}
    return {**counts, "changed": int((others == "both").sum() + labels)}


def read_alone(folder: Path) -> dict[str, int]:
    """The limit: what is read has at least to be read."""
    for name in ("before", "after"):
        pq.read_table(folder / name / "data", columns=[*LABELS, "lineage"])
    return {}


WAYS = {"KAT Data": with_kat_data, "Python sets": with_sets, "reading alone": read_alone}
if importlib.util.find_spec("pandas"):
    WAYS["pandas merge"] = with_pandas


def run_one(way: str, folder: Path) -> None:
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    found = WAYS[way](folder)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {"seconds": time.monotonic() - start, "cpu": cpu, "peak_mb": after.ru_maxrss / 1024}
    print(json.dumps({"way": way, **figures, "found": found}))


def measure(rows: int, changed: float) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as name:
        # In a process of its own, as a child begins with the memory peak of the process that starts it.
        wanted = _alone("--write", str(rows), "--changed", str(changed), "--folder", name)
        size = sum(path.stat().st_size for path in Path(name).rglob("*.parquet")) >> 20
        print(f"two snapshots of {rows:,} rows, {size:,} MB together; {wanted}", file=sys.stderr)
        measured = []
        for way in WAYS:
            measured.append(_alone("--way", way, "--folder", name))
            if found := measured[-1].pop("found"):
                assert found == wanted, f"{way} found {found}"
    return measured


def _alone(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=float, default=0.1, help="share of the rows that differ, in four ways")
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.write:
        print(json.dumps(write_two(options.folder, options.write, options.changed)))
        return
    if options.way:
        run_one(options.way, options.folder)
        return
    rows = measure(options.rows, options.changed)
    print(json.dumps(rows, indent=2) if options.json else table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| way | wall s | CPU-s | peak MB |", "|---" * 4 + "|"]
    lines += [f"| {r['way']} | {r['seconds']:.1f} | {r['cpu']:.1f} | {r['peak_mb']:,.0f} |" for r in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
