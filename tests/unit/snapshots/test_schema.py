"""Shards: the same bytes however the rows come, and row groups of bounded size."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kat_data.errors import SnapshotError
from kat_data.snapshots import schema
from kat_data.snapshots.read import parquet_rows
from kat_data.snapshots.record import Row, TrainingStage, labels_of_row, render, to_record
from kat_data.snapshots.schema import RENDERED, rendered_schema, write_parquet


def batch_of(rows: list[Row], stage: TrainingStage) -> pa.RecordBatch:
    lines = [labels_of_row(row) | {RENDERED: render(row.sample, stage, row.grading) + "\n"} for row in rows]
    return pa.RecordBatch.from_pylist(lines, schema=rendered_schema())


def cut(batch: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    for first in range(0, batch.num_rows, size):
        yield batch.slice(first, size)


@pytest.mark.parametrize("stage", TrainingStage)
def test_rows_come_back_as_records_whatever_their_batches(
    tmp_path: Path, rows: list[Row], stage: TrainingStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_GROUP_ROWS", 7)
    batch, digests = batch_of(rows, stage), set()
    for size in (1, 3, 7, 11, 100):
        path = tmp_path / f"{size}.parquet"
        assert list(write_parquet(path, cut(batch, size), stage)) == [7, 7, 7, 7, 7, 5]
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    assert list(parquet_rows(path.read_bytes(), "x")) == [to_record(row, stage) for row in rows]


def test_long_rows_make_small_groups(tmp_path: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(rows, TrainingStage.STAGE2)
    lengths = [len(line.encode()) for line in batch.column(RENDERED).to_pylist()]
    limit = sorted(lengths)[-2] + 1  # one row is longer, and has a group of its own
    monkeypatch.setattr(schema, "_GROUP_BYTES", limit)
    for size in (1, 100):
        list(write_parquet(tmp_path / f"{size}.parquet", cut(batch, size), TrainingStage.STAGE2))
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "100.parquet").read_bytes()
    metadata = pq.ParquetFile(tmp_path / "1.parquet").metadata
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    start = 0
    for number, size in enumerate(groups):
        text = sum(lengths[start : start + size])
        assert text <= limit or size == 1
        if number + 1 < len(groups):
            assert text + lengths[start + size] > limit
        start += size
    assert start == len(rows)


@pytest.mark.parametrize("text", ["{", '{"messages": 5}', '{"unknown": []}', "{}{}"])
def test_text_of_another_shape_is_refused(tmp_path: Path, rows: list[Row], text: str) -> None:
    batch = batch_of(rows[:1], TrainingStage.STAGE2).set_column(
        rendered_schema().names.index(RENDERED), RENDERED, pa.array([text + "\n"])
    )
    with pytest.raises(SnapshotError, match=r"cannot be read|are rendered as 2 rows"):
        list(write_parquet(tmp_path / "x.parquet", [batch], TrainingStage.STAGE2))


def test_what_a_source_of_rows_raises_is_raised(tmp_path: Path, rows: list[Row]) -> None:
    def breaking() -> Iterator[pa.RecordBatch]:
        yield batch_of(rows[:3], TrainingStage.STAGE2)
        raise RuntimeError("the server is gone")

    with pytest.raises(RuntimeError, match="the server is gone"):
        list(write_parquet(tmp_path / "x.parquet", breaking(), TrainingStage.STAGE2))
