"""The Arrow schemas of snapshot shards, and every writer option that decides their bytes."""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from kat_data.errors import SnapshotError
from kat_data.snapshots.build.ahead import ahead
from kat_data.snapshots.record import SCHEMA_VERSION, TrainingStage

RENDERED: Final = "rendered"
"""The column of a batch on its way into a shard that holds all but the labels, a line of JSON with its end a row."""

_FUNCTION = pa.struct([("name", pa.string()), ("arguments", pa.string())])
_MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("tool_calls", pa.list_(pa.struct([("id", pa.string()), ("type", pa.string()), ("function", _FUNCTION)]))),
        ("tool_call_id", pa.string()),
        ("name", pa.string()),
    ]
)
_TURN = pa.struct(
    [(name, pa.string()) for name in ("user", "judge_analysis", "mode", "thinking", "answer")]
    + [("tool_calls", pa.list_(_FUNCTION)), ("results", pa.list_(pa.string()))]
)
_VERIFIER = pa.struct([(name, pa.string()) for name in ("kind", "reference", "reference_origin", "options")])
_VERDICT = pa.struct([(name, pa.string()) for name in ("verifier", "outcome", "status")])

_LABELS = [
    ("id", pa.string()),
    ("query", pa.string()),
    ("category", pa.string()),
    ("domain", pa.string()),
    ("difficulty", pa.float64()),
    ("mode", pa.string()),
    ("source", pa.string()),
    ("licence", pa.string()),
    ("lineage", pa.string()),
]
_LABELS_OF_3 = [("verdict", _VERDICT)]
_CONTENT = {
    TrainingStage.STAGE1: [("prompt", pa.list_(_MESSAGE)), ("completion", pa.list_(_MESSAGE))],
    TrainingStage.STAGE2: [("messages", pa.list_(_MESSAGE)), ("turns", pa.list_(_TURN))],
    TrainingStage.STAGE3: [("prompt", pa.list_(_MESSAGE)), ("verifier", _VERIFIER), ("pass_rate", pa.float64())],
}
_TOOLS = [("tools", pa.string())]

# Row groups end where rows or text have filled them, wherever batches ended: the same rows give the same bytes.
_GROUP_ROWS = 4_096
_GROUP_BYTES = 8 << 20

# What repeats itself from row to row; a dictionary of the other texts would be made in vain.
_REPEATED = [
    *("category", "domain", "mode", "source", "licence", "tools", "verdict.verifier", "verdict.outcome"),
    *("verdict.status", "prompt.list.element.role", "completion.list.element.role", "messages.list.element.role"),
    *("turns.list.element.mode", "verifier.kind", "verifier.reference_origin"),
]

# Every option that decides bytes stands here, also where it is today's default.
_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": _REPEATED,
    "write_statistics": [name for name, _ in _LABELS],
    "store_schema": True,
    "data_page_size": 1 << 20,
    "dictionary_pagesize_limit": 1 << 20,
    "write_batch_size": 1_024,
    "write_page_index": False,
}


def arrow_schema(stage: TrainingStage, version: int = SCHEMA_VERSION) -> pa.Schema:
    """Return the columns of the stage's shards: labels, content, and the tools as JSON text."""
    return pa.schema([*_labels(version), *_CONTENT[stage], *_TOOLS])


def rendered_schema() -> pa.Schema:
    """Return the columns of a batch on its way into a shard: the labels, and the rest as `RENDERED` text."""
    return pa.schema([*_labels(SCHEMA_VERSION), (RENDERED, pa.string())])


def write_parquet(path: Path, batches: Iterable[pa.RecordBatch], stage: TrainingStage) -> Iterator[int]:
    """Write one shard of `rendered_schema` batches, and yield the rows of each row group once it is written.

    The same rows give the same bytes with the same pyarrow, however they are cut into batches. Raises `SnapshotError`
    where a row's text is not the stage's.
    """
    schema = arrow_schema(stage)
    with pq.ParquetWriter(path, schema, **_OPTIONS) as writer:
        for group in ahead(_typed(rows, stage, schema) for rows in ahead(_row_groups(batches))):
            writer.write_table(group, row_group_size=group.num_rows)
            yield group.num_rows


def writer_versions() -> dict[str, str]:
    """Return what else decides a shard's bytes: the writing library's version and the pinned options."""
    pinned = {**_OPTIONS, "row_group_size": _GROUP_ROWS, "row_group_bytes": _GROUP_BYTES}
    options = " ".join(f"{name}={value}" for name, value in sorted(pinned.items()))
    return {"pyarrow": pa.__version__, "options": options}


def _labels(version: int) -> list[tuple[str, pa.DataType]]:
    return [*_LABELS, *(_LABELS_OF_3 if version >= 3 else ())]


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """Cut the rows anew: as many as there is room for, or one that alone is longer."""
    parts: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        ends = np.cumsum(pc.binary_length(batch.column(RENDERED)).to_numpy(zero_copy_only=False))
        start = done = 0
        while start < batch.num_rows:
            fitting = int(np.searchsorted(ends, done + _GROUP_BYTES - size, side="right")) - start
            taken = min(max(fitting, 0 if rows else 1), _GROUP_ROWS - rows, batch.num_rows - start)
            if taken:
                parts.append(batch.slice(start, taken))
                start, rows = start + taken, rows + taken
                size, done = size + int(ends[start - 1]) - done, int(ends[start - 1])
            if start < batch.num_rows:
                yield _joined(parts)
                parts, rows, size = [], 0, 0
    if parts:
        yield _joined(parts)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    (whole,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return whole


def _typed(group: pa.RecordBatch, stage: TrainingStage, schema: pa.Schema) -> pa.Table:
    labels = group.select([name for name in schema.names if name in group.schema.names])
    content = _read_json(group.column(RENDERED), pa.schema([*_CONTENT[stage], *_TOOLS]))
    if content.num_rows != group.num_rows:
        raise SnapshotError(f"{group.num_rows} samples are rendered as {content.num_rows} rows of {stage}")
    return pa.Table.from_arrays([*labels.columns, *content.columns], schema=schema)


def _read_json(lines: pa.StringArray, schema: pa.Schema) -> pa.Table:
    text = _text_of(lines)
    try:
        return pj.read_json(
            pa.BufferReader(text),
            read_options=pj.ReadOptions(use_threads=False, block_size=text.size + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        ).select(schema.names)
    except pa.ArrowInvalid as error:
        raise SnapshotError(f"what is stored of a rendered sample cannot be read: {error}") from error


def _text_of(lines: pa.StringArray) -> pa.Buffer:
    """Return the rows' text, one behind the other, where it lies."""
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return lines.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
