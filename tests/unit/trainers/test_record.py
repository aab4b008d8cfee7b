from pathlib import Path

import pytest

from kat_data.errors import ConfigError
from trainers.record import RECORD, Record, lines, weights_hash


def test_a_resumed_run_goes_on_in_its_record_and_another_is_refused(tmp_path: Path) -> None:
    record = Record(tmp_path, {"trainer": "cold_start", "config": {"seed": 1}})
    record.metrics(10, {"loss": 0.5})
    again = Record(tmp_path, {"config": {"seed": 1}, "trainer": "cold_start"})
    again.finished({"steps": 20})
    assert [line["event"] for line in lines(tmp_path / RECORD)] == ["started", "metrics", "resumed", "finished"]
    assert again.hash == record.hash
    with pytest.raises(ConfigError, match="another training run"):
        Record(tmp_path, {"trainer": "cold_start", "config": {"seed": 2}})


def test_a_line_that_a_kill_cut_is_left_out(tmp_path: Path) -> None:
    record = Record(tmp_path, {"trainer": "x"})
    record.metrics(1, {"loss": 1.0})
    with record.path.open("ab") as file:
        file.write(b'{"event":"metr')
    Record(tmp_path, {"trainer": "x"}).failed("no memory left")
    assert [line["event"] for line in lines(record.path)] == ["started", "metrics", "resumed", "failed"]


def test_the_hash_of_weights_hangs_on_contents_and_names(tmp_path: Path) -> None:
    for name, data in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(data)
    first = weights_hash([tmp_path / "b", tmp_path / "a"])
    assert first == weights_hash([tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b").write_bytes(b"3")
    assert weights_hash([tmp_path / "a", tmp_path / "b"]) != first
