"""How fast a snapshot is verified, against the least that verification can do: hash its files and read its columns.

    python benchmarks/verify_snapshot.py [--rows 1000000] [--folder FOLDER] [--json]

Rates are rows per CPU second of all processes together; peaks are of one process. Without a folder a snapshot is made
first, which takes longer than verifying it.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from made_snapshot import made_snapshot

from kat_data.hashing import file_sha256
from kat_data.snapshots.read import open_snapshot
from kat_data.snapshots.survey.survey import survey
from kat_data.snapshots.verify.verify import verify

Found = dict[str, float]


def read_alone(folder: Path) -> int:
    rows = 0
    for shard in open_snapshot(folder).manifest.hashed.shards:
        file_sha256(folder / shard.path)
        with pq.ParquetFile(folder / shard.path, memory_map=True) as file:
            rows += sum(batch.num_rows for batch in file.iter_batches(2_000))
    return rows


def survey_alone(folder: Path) -> int:
    hashed = open_snapshot(folder).manifest.hashed
    return survey((folder / shard.path for shard in hashed.shards), hashed.stage, {}).rows


def verify_in(processes: int) -> Callable[[Path], int]:
    def work(folder: Path) -> int:
        report = verify(folder, processes=processes)
        assert report.ok, report.problems
        return report.rows

    return work


def measure(work: Callable[[Path], int], folder: Path) -> Found:
    """Do the work in a process of its own, so that its peak is its own."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: theirs.send(_measured(work, folder)))
    process.start()
    found: Found = ours.recv()
    process.join()
    return found


def _measured(work: Callable[[Path], int], folder: Path) -> Found:
    start = time.monotonic()
    rows = work(folder)
    seconds = time.monotonic() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(each.ru_utime + each.ru_stime for each in used)
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "rows_per_cpu_second": round(rows / cpu),
        "peak_mb": round(max(each.ru_maxrss for each in used) / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as root:
        folder = options.folder or made_snapshot(Path(root), options.rows)
        cores = os.cpu_count() or 1
        works = {"hash and read": read_alone, "survey": survey_alone, "verify": verify_in(1)}
        works |= {f"verify, {cores} processes": verify_in(cores)} if cores > 1 else {}
        found = {name: measure(work, folder) for name, work in works.items()}
    print(json.dumps(found, indent=2) if options.json else _table(found))


def _table(found: dict[str, Found]) -> str:
    limit = found["hash and read"]["rows_per_cpu_second"]
    head = "| work | rows/CPU-s | of hash and read | seconds | peak MB |\n" + "|---" * 5 + "|"
    lines = [
        f"| {name} | {f['rows_per_cpu_second']:,} | {f['rows_per_cpu_second'] / limit:.2f} | {f['seconds']} "
        f"| {f['peak_mb']} |"
        for name, f in found.items()
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
