"""Single rows, by their place and by the start of their id, over shards and row groups."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kat_data.errors import NotFoundError, SnapshotError, UserError
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import Row
from kat_data.snapshots.row import row_at, row_with


@pytest.fixture
def snapshot(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> Snapshot:
    splits = {"train": rows[:30], "test": rows[30:]}
    return open_snapshot(write_snapshot(tmp_path, make_spec(), splits, shard_bytes=4_000).path)


def test_every_row_is_found_by_its_place_and_by_its_id(snapshot: Snapshot) -> None:
    assert len(snapshot.manifest.hashed.shards) > 4
    for split in ("train", "test"):
        for number, record in enumerate(snapshot.rows(split)):
            assert row_at(snapshot, number, split) == record
            assert row_with(snapshot, record["id"]) == row_with(snapshot, record["id"][:12].upper()) == record
    assert row_at(snapshot, 0) == next(snapshot.rows("train"))


def test_rows_are_found_in_every_row_group(snapshot: Snapshot) -> None:
    shard = snapshot.manifest.hashed.shards[0]
    records = pq.read_table(snapshot.path / shard.path)
    pq.write_table(records, snapshot.path / shard.path, row_group_size=1)
    assert [row_at(snapshot, number, shard.split) for number in range(shard.rows)] == records.to_pylist()
    assert row_with(snapshot, records["id"][-1].as_py()) == records.to_pylist()[-1]


@pytest.mark.parametrize(
    ("number", "split", "said"),
    [
        (30, None, "there is no row 30: train has 30, counted from 0"),
        (10, "test", "there is no row 10: test has 10, counted from 0"),
        (0, "validation", "there is no split validation; there are: "),
    ],
)
def test_a_row_that_is_not_there_says_how_many_are(snapshot: Snapshot, number: int, split: str, said: str) -> None:
    with pytest.raises(NotFoundError, match=said):
        row_at(snapshot, number, split)


def test_starts_of_no_id_and_of_several(snapshot: Snapshot) -> None:
    with pytest.raises(NotFoundError, match="no row has an id that begins with 'x'"):
        row_with(snapshot, "x")
    with pytest.raises(UserError, match="several rows' ids begin with ''"):
        row_with(snapshot, "")


def test_a_shard_that_cannot_be_read_is_one_line(snapshot: Snapshot) -> None:
    path = snapshot.path / snapshot.manifest.hashed.shards[0].path
    pq.write_table(pa.table({"id": ["only one"]}), path)
    with pytest.raises(SnapshotError, match="fewer rows than the manifest says"):
        row_at(snapshot, 1, snapshot.manifest.hashed.shards[0].split)
    path.write_bytes(b"no Parquet")
    with pytest.raises(SnapshotError, match="cannot be read as Parquet"):
        row_at(snapshot, 0, snapshot.manifest.hashed.shards[0].split)
