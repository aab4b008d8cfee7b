"""Verify a snapshot: every hash, every count and every row, from the files alone."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.template import RESERVED_TAGS, last_user, parse_completion, parse_messages, split_trigger
from kat_data.errors import KatError, SnapshotError, TemplateError
from kat_data.hashing import content_hash, sha256
from kat_data.snapshots.composition import compose, count_transitions
from kat_data.snapshots.distribution import distribute
from kat_data.snapshots.manifest import CARD, MANIFEST, PLOT, Hashed, Shard
from kat_data.snapshots.mixture import targets
from kat_data.snapshots.read import Snapshot, open_snapshot, parquet_rows
from kat_data.snapshots.record import SCHEMA_VERSION, Record, TrainingStage, order_key, to_sample
from kat_data.snapshots.schema import arrow_schema

_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found: one line for each problem, none where the snapshot is whole."""

    path: Path
    rows: int
    shards: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(path: Path) -> Report:
    """Recompute everything that the manifest states; raises `NotFoundError` alone, the rest is in the report."""
    try:
        snapshot = open_snapshot(path)
    except SnapshotError as error:
        return Report(path=path, rows=0, shards=0, problems=(str(error),))
    problems = [*_files(snapshot)]
    hashed = snapshot.manifest.hashed
    splits: dict[str, list[Record]] = {shard.split: [] for shard in hashed.shards}
    for shard in hashed.shards:
        try:
            records = _read(snapshot, shard)
            problems += _rows(records, shard, hashed.stage)
            splits[shard.split] += records
        except SnapshotError as error:
            problems.append(str(error))
    problems += _whole(splits, hashed)
    rows = sum(map(len, splits.values()))
    return Report(path=path, rows=rows, shards=len(hashed.shards), problems=tuple(problems))


def _files(snapshot: Snapshot) -> Iterator[str]:
    unhashed = snapshot.manifest.unhashed
    checked = {CARD: unhashed.card_sha256} | ({PLOT: unhashed.plot_sha256} if unhashed.plot_sha256 else {})
    expected = {MANIFEST, *checked, *(shard.path for shard in snapshot.manifest.hashed.shards)}
    present = {p.relative_to(snapshot.path).as_posix() for p in snapshot.path.rglob("*") if not p.is_dir()}
    yield from (f"{name} is missing" for name in sorted(expected - present))
    yield from (f"{name} does not belong to the snapshot" for name in sorted(present - expected))
    for name, checksum in checked.items():
        if name in present and sha256((snapshot.path / name).read_bytes()).hex() != checksum:
            yield f"{name} was changed after it was written: its sha256 does not match"


def _read(snapshot: Snapshot, shard: Shard) -> list[Record]:
    records = list(parquet_rows(snapshot.shard_bytes(shard), shard.path))
    hashed = snapshot.manifest.hashed
    expected = set(arrow_schema(hashed.stage, hashed.schema_version).names)
    if any(record.keys() != expected for record in records):
        raise SnapshotError(f"{shard.path} has other columns than a {snapshot.manifest.hashed.stage} snapshot")
    return records


def _rows(records: list[Record], shard: Shard, stage: TrainingStage) -> Iterator[str]:
    if len(records) != shard.rows:
        yield f"{shard.path} holds {len(records)} rows, the manifest says {shard.rows}"
    for number, record in enumerate(records):
        yield from (f"{shard.path} row {number}: {problem}" for problem in check_row(record, stage))


def _whole(splits: Mapping[str, list[Record]], hashed: Hashed) -> Iterator[str]:
    records = [record for rows in splits.values() for record in rows]
    for split, rows in splits.items():
        if any(left > right for left, right in pairwise(order_key(hashed.seed, row) for row in rows)):
            yield f"the rows of {split} are not in the order that the seed gives"
    if not 1 <= hashed.schema_version <= SCHEMA_VERSION:
        yield f"the schema version is {hashed.schema_version}, this program knows those up to {SCHEMA_VERSION}"
    if sum(shard.rows for shard in hashed.shards) != hashed.rows:
        yield "the manifest's rows are not the sum of its shards' rows"
    if len(records) != hashed.rows:
        yield f"{len(records)} rows can be read, the manifest says {hashed.rows}"
        return
    if len({record["id"] for record in records}) != len(records):
        yield "two rows have the same id"
    if compose(records) != hashed.composition:
        yield "the rows do not add up to the manifest's composition"
    if hashed.transitions is not None and count_transitions(records) != hashed.transitions:
        yield "the rows do not add up to the manifest's transitions between modes"
    yield from _spread(records, hashed)
    for label, stated in (("source", hashed.sources), ("licence", hashed.licences)):
        if dict(Counter(record[label] for record in records)) != stated:
            yield f"the rows do not add up to the manifest's count by {label}"


def _spread(records: list[Record], hashed: Hashed) -> Iterator[str]:
    stated = hashed.distribution
    if stated is None:
        return
    try:
        if stated.targets != targets(hashed.recipe, hashed.stage):
            yield "the manifest's strata are not the mixture of its recipe"
        if distribute(records, stated.targets) != stated:
            yield "the rows do not add up to the manifest's distribution"
    except (SnapshotError, ValueError) as error:
        yield f"the manifest's mixture cannot be read: {error}"


def check_row(record: Record, stage: TrainingStage) -> Iterator[str]:
    """Yield what is wrong with one record: labels out of range, text that the template refuses, a false id."""
    yield from (f"{name} is not a SHA-256 in hex" for name in ("id", "query", "lineage") if not _is_hash(record[name]))
    if record["category"] not in set(Category):
        yield f"the category {record['category']!r} is not one of the six"
    if record["mode"] not in set(Mode) and not (stage is TrainingStage.STAGE3 and record["mode"] == ""):
        yield f"the mode {record['mode']!r} is neither think_on nor think_off"
    if not _within(record["difficulty"], 1, 10):
        yield "the difficulty is not within 1..10"
    try:
        orjson.loads(record["tools"])
        yield from _CHECKS[stage](record)
    except TemplateError as error:
        yield f"the template refuses it: {error}"
    except (KatError, KeyError, IndexError, TypeError, ValueError) as error:
        yield f"its content is malformed: {error!r}"


def _stage1(record: Record) -> Iterator[str]:
    place = last_user(record["prompt"])
    _, mode = split_trigger(record["prompt"][place]["content"])
    (completion,) = record["completion"]
    parse_completion(completion["content"], mode)
    if mode != record["mode"]:
        yield "the trigger is not the row's mode"
    if any(_has_tag(message) for i, message in enumerate(record["prompt"]) if i != place):
        yield "another message of the prompt holds a tag of the template"


def _stage2(record: Record) -> Iterator[str]:
    sample = to_sample(record)
    if parse_messages(record["messages"], sample.tools) != sample:
        yield "the messages and the structured turns differ"
    if content_hash(sample).hex() != record["id"]:
        yield "the id is not the hash of the content"
    if sample.mode != record["mode"]:
        yield "the last turn's mode is not the row's mode"


def _stage3(record: Record) -> Iterator[str]:
    if record["prompt"][-1]["role"] not in {"user", "tool"}:
        yield "the prompt does not end with a message of the user or a tool"
    if any(_has_tag(message) for message in record["prompt"]):
        yield "the prompt holds a tag of the template"
    if not _within(record["pass_rate"], 0, 1):
        yield "the pass rate is not within 0..1"
    if record["verifier"] is not None:
        orjson.loads(record["verifier"]["options"])


_CHECKS = {TrainingStage.STAGE1: _stage1, TrainingStage.STAGE2: _stage2, TrainingStage.STAGE3: _stage3}


def _has_tag(message: Record) -> bool:
    return any(tag in message["content"] for tag in RESERVED_TAGS)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _within(value: float | None, low: float, high: float) -> bool:
    return value is None or low <= value <= high
