"""The Arrow schemas of snapshot shards, and every writer option that decides their bytes."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kat_data.snapshots.record import Record, TrainingStage

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
_CONTENT = {
    TrainingStage.STAGE1: [("prompt", pa.list_(_MESSAGE)), ("completion", pa.list_(_MESSAGE))],
    TrainingStage.STAGE2: [("messages", pa.list_(_MESSAGE)), ("turns", pa.list_(_TURN))],
    TrainingStage.STAGE3: [("prompt", pa.list_(_MESSAGE)), ("verifier", _VERIFIER), ("pass_rate", pa.float64())],
}

# Every option that decides bytes stands here, also where it is today's default.
_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": True,
    "write_statistics": True,
    "store_schema": True,
    "row_group_size": 1_000,
    "data_page_size": 1 << 20,
    "dictionary_pagesize_limit": 1 << 20,
    "write_batch_size": 1_024,
    "write_page_index": False,
}


def arrow_schema(stage: TrainingStage) -> pa.Schema:
    """Return the columns of the stage's shards: labels, content, and the tools as JSON text."""
    return pa.schema([*_LABELS, *_CONTENT[stage], ("tools", pa.string())])


def to_parquet(records: list[Record], stage: TrainingStage) -> bytes:
    """Return the bytes of one shard: the same records give the same bytes with the same pyarrow."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records, schema=arrow_schema(stage)), sink, **_OPTIONS)
    return bytes(sink.getvalue())


def writer_versions() -> dict[str, str]:
    """Return what else decides a shard's bytes: the writing library's version and the pinned options."""
    options = " ".join(f"{name}={value}" for name, value in sorted(_OPTIONS.items()))
    return {"pyarrow": pa.__version__, "options": options}
