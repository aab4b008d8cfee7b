from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kat_data.errors import ConfigError, SnapshotError
from trainers.data import encoded, encoder, open_stage, rows
from trainers.examples import IGNORED


def test_rows_of_stage_1_and_2_become_examples(
    make_snapshot: Callable[..., Path], tokenizer: Any, tmp_path: Path
) -> None:
    for stage in ("stage1", "stage2"):
        snapshot = open_stage(make_snapshot(stage), stage)
        found = rows(snapshot, "train", cache=tmp_path)
        examples, left_out = encoded(found, encoder(tokenizer, stage), max_tokens=512)
        assert (len(examples), left_out) == (24, 0)
        assert set(examples.column_names) == {"input_ids", "labels"}
        text = tokenizer.decode([label for label in examples[0]["labels"] if label != IGNORED])
        assert text.count("<answer>") == text.count("<|im_end|>") >= 1
        assert ("<judge>" in text) == (stage == "stage2")
        assert all(label in (IGNORED, token) for token, label in zip(*examples[0].values(), strict=True))


def test_rows_that_are_too_long_are_left_out_and_counted(
    make_snapshot: Callable[..., Path], tokenizer: Any, tmp_path: Path
) -> None:
    found = rows(open_stage(make_snapshot("stage2"), "stage2"), "train", cache=tmp_path)
    lengths = sorted(len(encoder(tokenizer, "stage2")(row)["input_ids"]) for row in found)
    kept, left_out = encoded(found, encoder(tokenizer, "stage2"), max_tokens=lengths[11])
    assert left_out == sum(length > lengths[11] for length in lengths) > 0
    assert len(kept) == len(found) - left_out


def test_a_snapshot_of_another_stage_is_refused_in_one_line(make_snapshot: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="is a stage1 snapshot, for distillation: give a stage2 snapshot") as caught:
        open_stage(make_snapshot("stage1"), "stage2")
    assert "\n" not in str(caught.value)


def test_a_changed_shard_and_a_missing_split_are_refused(make_snapshot: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_snapshot("stage3")
    with pytest.raises(SnapshotError, match="no split nothing: it has train, validation"):
        rows(open_stage(folder, "stage3"), "nothing", cache=tmp_path)
    shard = next((folder / "data").glob("train-*.parquet"))
    shard.chmod(0o644)
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(SnapshotError, match="was changed"):
        open_stage(folder, "stage3")
