"""A snapshot of any size, made without a registry: rows of about 1 KB, in the seed's order, with a whole manifest.

    python benchmarks/made_snapshot.py FOLDER [--rows 1000000] [--changed 0]

With --changed N the first N rows have other answers: two snapshots that differ in them.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kat_data import __version__
from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.sample import Sample, Turn
from kat_data.hashing import content_hash, draw, sha256
from kat_data.snapshots.manifest import Hashed, Shard
from kat_data.snapshots.record import SCHEMA_VERSION, Row, TrainingStage, to_record
from kat_data.snapshots.schema import to_parquet, writer_versions
from kat_data.snapshots.survey import survey
from kat_data.snapshots.write import SnapshotSpec, _unhashed, _write_manifest

SEED = 7
SHARD_ROWS = 25_000
MIXTURE = {"stages": [{"select": {"samples": 1000, "shares": {"mode=think_on": 0.4, "mode=think_off": 0.6}}}]}


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
    )


def made_snapshot(folder: Path, rows: int, changed: int = 0) -> None:
    """Write a snapshot of stage 2 into a new folder."""
    (folder / "data").mkdir(parents=True)
    shards = list(_shards(folder, rows, changed))
    found = survey([folder / shard.path for shard in shards], TrainingStage.STAGE2, {})
    spec = SnapshotSpec(
        name="made", stage=TrainingStage.STAGE2, seed=SEED, recipe={}, built_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    hashed = Hashed(
        name="made", stage=TrainingStage.STAGE2, schema_version=SCHEMA_VERSION, seed=SEED, recipe={}, models={},
        verifiers=[], rows=found.rows, duplicates=0, composition=found.composition, sources=found.sources,
        licences=found.licences, shards=tuple(shards), code_version=__version__, writer=writer_versions(),
        transitions=found.transitions, distribution=found.distribution,
    )  # fmt: skip
    from kat_data.snapshots.manifest import Manifest

    _write_manifest(folder, Manifest(hashed=hashed, unhashed=_unhashed(spec, 1, 0)))


def _shards(folder: Path, rows: int, changed: int) -> Iterator[Shard]:
    keys = np.fromiter((draw(SEED, row(n, changed).id) for n in range(rows)), dtype=np.uint64, count=rows)
    order = np.argsort(keys)
    for place in range(0, rows, SHARD_ROWS):
        numbers = order[place : place + SHARD_ROWS].tolist()
        records: list[dict[str, Any]] = [to_record(row(n, changed), TrainingStage.STAGE2) for n in numbers]
        path = f"data/train-{place // SHARD_ROWS:05d}.parquet"
        data = to_parquet(records, TrainingStage.STAGE2)
        (folder / path).write_bytes(data)
        yield Shard(path=path, split="train", rows=len(records), bytes=len(data), sha256=sha256(data).hex())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=0)
    options = parser.parse_args()
    made_snapshot(options.folder, options.rows, options.changed)


if __name__ == "__main__":
    main()
