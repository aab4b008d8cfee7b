"""From a snapshot's folder to the rows that a trainer learns from.

A snapshot of another stage than the trainer's is refused, and so is a folder of which a byte was changed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from kat_data.errors import ConfigError, SnapshotError
from kat_data.snapshots.read import Snapshot, open_snapshot
from trainers.examples import Example, completion, conversation

_TRAINER: Final = {"stage1": "distillation", "stage2": "the cold start", "stage3": "Step-SRPO"}
Row = dict[str, Any]


def open_stage(folder: Path, *stages: str) -> Snapshot:
    """Open a snapshot that has one of `stages` and whose shards are whole.

    Raises `NotFoundError`, `ConfigError` where the snapshot is of another stage, or `SnapshotError` where it was
    changed.
    """
    snapshot = open_snapshot(folder)
    hashed = snapshot.manifest.hashed
    if hashed.stage.value not in stages:
        wanted = " or ".join(f"a {stage} snapshot ({_TRAINER[stage]} learns from it)" for stage in stages)
        raise ConfigError(
            f"{folder} is a {hashed.stage.value} snapshot, for {_TRAINER[hashed.stage.value]}: give {wanted}"
        )
    for shard in hashed.shards:
        snapshot.shard_bytes(shard)
    return snapshot


def rows(snapshot: Snapshot, split: str, *, cache: Path) -> Any:
    """Return one split as a `datasets.Dataset` in the snapshot's order, memory-mapped from `cache`."""
    import datasets

    files = [str(snapshot.path / shard.path) for shard in snapshot.manifest.hashed.shards if shard.split == split]
    if not files:
        there = ", ".join(snapshot.manifest.splits)
        raise SnapshotError(f"{snapshot.path} has no split {split}: it has {there}")
    return datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(cache))


def encoder(tokenizer: Any, stage: str) -> Callable[[Row], Example]:
    """Return the function that makes a training example of a row of `stage1` or `stage2`."""
    if stage == "stage1":
        return lambda row: completion(tokenizer, row["prompt"], row["completion"], orjson.loads(row["tools"]))
    return lambda row: conversation(tokenizer, row["messages"], orjson.loads(row["tools"]))


def encoded(found: Any, encode: Callable[[Row], Example], *, max_tokens: int, processes: int = 1) -> tuple[Any, int]:
    """Return the rows as training examples, and how many were left out because they are longer than `max_tokens`.

    Nothing is cut: a trace without its end would teach a model never to end.
    """
    examples = found.map(
        encode, remove_columns=found.column_names, num_proc=processes if processes > 1 else None, desc="tokens"
    )
    kept = examples.filter(lambda ids: len(ids) <= max_tokens, input_columns="input_ids", desc="lengths")
    return kept, len(examples) - len(kept)
