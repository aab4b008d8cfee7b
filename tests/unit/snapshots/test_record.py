"""Records: what each stage stores of a sample, and what it must not."""

import orjson
import pytest

from kat_data.domain.template import parse_messages
from kat_data.hashing import canonical_json, content_hash
from kat_data.snapshots.read import parquet_rows
from kat_data.snapshots.record import Row, TrainingStage, to_record, to_sample
from kat_data.snapshots.schema import arrow_schema
from kat_data.testing.shards import to_parquet


@pytest.mark.parametrize("stage", TrainingStage)
def test_records_come_back_from_parquet_as_they_were(rows: list[Row], stage: TrainingStage) -> None:
    records = [to_record(row, stage) for row in rows]
    assert [*records[0]] == arrow_schema(stage).names
    assert list(parquet_rows(to_parquet(records, stage), "x")) == records


def test_stage_2_holds_the_sample_twice_over(rows: list[Row]) -> None:
    for row in rows:
        record = to_record(row, TrainingStage.STAGE2)
        assert to_sample(record) == row.sample == parse_messages(record["messages"], row.sample.tools)
        assert record["id"] == content_hash(row.sample).hex()


def test_stage_1_ends_with_the_trigger_and_has_no_judge(rows: list[Row]) -> None:
    record = to_record(rows[2], TrainingStage.STAGE1)
    assert record["prompt"][-1]["content"].endswith("\n<think_on>")
    assert record["completion"][0]["content"].startswith("<think>\n")
    assert b"judge" not in canonical_json(record)


def test_stage_3_holds_no_answer(rows: list[Row]) -> None:
    record = to_record(rows[0], TrainingStage.STAGE3)
    assert [message["role"] for message in record["prompt"]] == ["system", "user"]
    assert record["verifier"] == {"kind": "math", "reference": "2", "reference_origin": "source", "options": "{}"}
    assert record["pass_rate"] == 0.25
    assert "A small sum." not in orjson.dumps(record).decode()
