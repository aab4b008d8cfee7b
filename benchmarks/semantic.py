"""What semantic clusters cost as their number of queries grows, and what the borders of cells lose.

    python benchmarks/semantic.py [--sizes 10000 100000 1000000] [--dimension 384] [--json]

Vectors are planted in groups of three about centres that share fifty topics, as far apart as paraphrases are in common
embeddings (a cosine of 0.85 to 0.95 within a group), in a file. Recall and precision are over pairs of one group.
"""

import argparse
import json
import resource
import tempfile
import time
from typing import Any

import numpy as np

from kat_data.dedup.semantic import cluster

GROUP = 3
TOPICS = 50
NOISE = 0.35
THRESHOLD = 0.85
_AT_ONCE = 4096


def plant(file: Any, size: int, dimension: int) -> Any:
    """Write unit vectors to `file`; the members of a group lie far apart in it."""
    groups = size // GROUP
    topics = np.random.default_rng(1).normal(size=(TOPICS, dimension))
    for start in range(0, groups * GROUP, _AT_ONCE):
        numbers = np.arange(start, min(start + _AT_ONCE, groups * GROUP))
        centres = np.stack([_centre(topics, int(group), dimension) for group in numbers % groups])
        noise = np.random.default_rng([2, start]).normal(size=centres.shape) * NOISE / np.sqrt(dimension)
        rows = centres + noise
        file.write((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f2").tobytes())
    file.flush()
    return np.memmap(file, dtype="<f2", mode="r", shape=(groups * GROUP, dimension)), np.arange(groups * GROUP) % groups


def _centre(topics: Any, group: int, dimension: int) -> Any:
    draws = np.random.default_rng([3, group])
    centre = topics[group % TOPICS] + 1.2 * draws.normal(size=dimension)
    return centre / np.linalg.norm(centre)


def pairs(labels: Any) -> int:
    counts = np.unique(labels, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def measure(size: int, dimension: int) -> dict[str, Any]:
    with tempfile.TemporaryFile() as file:
        vectors, group = plant(file, size, dimension)
        cpu, start = time.process_time(), time.monotonic()
        found = cluster(vectors, THRESHOLD)
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    both = pairs(found.representative * len(group) + group)
    return {
        "queries": len(group),
        "cpu_seconds": cpu,
        "seconds": seconds,
        "recall": both / pairs(group),
        "precision": both / max(pairs(found.representative), 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [measure(size, options.dimension) for size in sorted(options.sizes)]
    print(json.dumps(rows, indent=2) if options.json else table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    head = "| queries | CPU-s | per 1,000 | wall s | recall | precision | peak MB |\n" + "|---" * 7 + "|"
    lines = [
        f"| {row['queries']:,} | {row['cpu_seconds']:,.1f} | {1000 * row['cpu_seconds'] / row['queries']:.3f} "
        f"| {row['seconds']:,.1f} | {row['recall']:.4f} | {row['precision']:.4f} | {row['peak_mb']:,.0f} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
