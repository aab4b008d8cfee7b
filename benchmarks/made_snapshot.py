"""A snapshot of any size, built of made-up rows of about 1 KB, without a registry.

    python benchmarks/made_snapshot.py ROOT [--rows 1000000] [--changed 0]

With --changed N the first N rows have other answers: two snapshots that differ in them.
"""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.hashing import content_hash, draw
from kat_data.snapshots.build.shards import PlannedShard
from kat_data.snapshots.build.write import SnapshotSpec, build_snapshot
from kat_data.snapshots.record import Row, TrainingStage, labels_of_row, render
from kat_data.snapshots.schema import RENDERED, rendered_schema

SEED = 7
STAGE = TrainingStage.STAGE2
SHARD_ROWS = 40_000
VERDICT = Verdict(outcome=Outcome.CORRECT, status=Status.CORRECT, verifier="math/2")


def turn(number: int, changed: bool) -> Turn:
    on = number % 5 < 2
    sheep, bought = number, number % 97
    step = f"First there are {sheep} sheep. Then {bought} more come, so that {sheep} + {bought} has to be found. "
    return Turn(
        user=f"A farmer has {sheep} sheep and buys {bought} more at the market; how many are there now? 请简短回答",
        judge_analysis="One addition of two given numbers, without any hidden step; no thinking is needed for it.",
        mode=Mode.ON if on else Mode.OFF,
        thinking=step * 2 + "The sum is easily checked backwards." if on else "",
        answer=f"There are {sheep + bought}{'!' if changed else '.'}",
    )


def row(number: int, changed: int) -> Row:
    first = turn(number, number < changed)
    turns = (first, turn(number + 1, False)) if number % 7 == 0 else (first,)
    return Row(
        sample=Sample(system="Be brief." if number % 3 else None, tools=(), turns=turns),
        query=content_hash(["query", number]).hex(),
        lineage=content_hash(["lineage", number]).hex(),
        category=list(Category)[number % 6],
        source="made-up",
        licence="MIT" if number % 7 else "Apache-2.0",
        domain=f"domain {number % 40}",
        difficulty=1 + number % 10,
        verdict=VERDICT,
    )


class MadeRows:
    """The plan of such a snapshot: its rows are made when they are written."""

    duplicates = surplus = 0

    def __init__(self, rows: int, changed: int) -> None:
        self._changed = changed
        keys = np.fromiter((draw(SEED, row(n, changed).id) for n in range(rows)), dtype=np.uint64, count=rows)
        self._order = np.argsort(keys)

    @property
    def shards(self) -> Sequence[PlannedShard]:
        starts = range(0, len(self._order), SHARD_ROWS)
        sizes = [min(SHARD_ROWS, len(self._order) - start) for start in starts]
        return [PlannedShard(split="train", number=n, rows=size, inputs="") for n, size in enumerate(sizes)]

    def batches(self, shard: PlannedShard) -> Iterator[pa.RecordBatch]:
        start = shard.number * SHARD_ROWS
        for first in range(start, start + shard.rows, 1_000):
            made = [row(n, self._changed) for n in self._order[first : min(first + 1_000, start + shard.rows)].tolist()]
            lines = [labels_of_row(r) | {RENDERED: render(r.sample, STAGE, r.grading) + "\n"} for r in made]
            yield pa.RecordBatch.from_pylist(lines, schema=rendered_schema())


def made_snapshot(root: Path, rows: int, changed: int = 0) -> Path:
    """Build a snapshot of stage 2 and return its folder."""
    spec = SnapshotSpec(name="made", stage=STAGE, seed=SEED, recipe={}, built_at=datetime(2026, 1, 1, tzinfo=UTC))
    return build_snapshot(root, spec, MadeRows(rows, changed)).path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=0)
    options = parser.parse_args()
    print(made_snapshot(options.root, options.rows, options.changed))


if __name__ == "__main__":
    main()
