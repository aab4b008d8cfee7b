"""Verdicts in files: one line for one line, in order, and taken up again where they end."""

import json
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from kat_data.cli.verdict_file import VerdictFile, verdicts
from kat_data.errors import InputError, SandboxFault, VerifierFault


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def judge_all(in_: Path, out: Path, judge: Any, threads: int = 2) -> VerdictFile:
    with VerdictFile(in_, out, "status") as file:
        for row in verdicts(file.rest(), judge, "status", threads=threads):
            file.write(row)
    return file


def read(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_lines_keep_their_order_whatever_their_threads_do(tmp_path: Path) -> None:
    first = threading.Event()

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 0:
            first.wait(10)
        elif row["id"] == 3:
            first.set()
        return {"status": "correct"}

    in_ = write(tmp_path / "in", *({"id": n} for n in range(9)))
    file = judge_all(in_, tmp_path / "out", judge)
    assert [row["id"] for row in read(tmp_path / "out")] == list(range(9))
    assert file.counts == {"correct": 9}


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    judged: list[Any] = []

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        judged.append(row["id"])
        return {"status": "correct"}

    in_, out = write(tmp_path / "in", *({"id": n} for n in range(5))), tmp_path / "out"
    judge_all(in_, out, judge)
    whole = out.read_bytes()
    out.write_bytes(whole[:-10])  # torn by a kill
    judge_all(in_, out, judge)
    assert [row["id"] for row in read(out)] == [0, 1, 2, 3, 4]
    assert sorted(judged) == [0, 1, 2, 3, 4, 4]


def breaking(*ids: Any) -> Any:
    """A judge whose sandbox breaks with the programs of these ids; `judged` says whom it was asked about."""

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        judge.judged.append(row["id"])
        if row["id"] in ids:
            raise SandboxFault("Lost.")
        return {"status": "correct"}

    judge.judged = []
    return judge


def test_only_what_the_sandbox_broke_is_tried_again(tmp_path: Path) -> None:
    in_, out = write(tmp_path / "in", *({"id": n} for n in range(9))), tmp_path / "out"
    assert judge_all(in_, out, breaking(1, 4, 8)).counts == {"correct": 6, "infra_error": 3}
    before = out.read_text().splitlines()
    again = breaking(4)
    assert judge_all(in_, out, again).counts == {"correct": 8, "infra_error": 1}
    assert sorted(again.judged) == [1, 4, 8]
    assert [row["id"] for row in read(out)] == list(range(9))
    after = out.read_text().splitlines()
    assert {n for n in range(9) if before[n] != after[n]} == {1, 8}
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert judge_all(in_, out, breaking()).counts == {"correct": 9}


def test_programs_that_break_every_sandbox_keep_no_other_from_its_verdict(tmp_path: Path) -> None:
    poison = (1, 3, 5, 7, 9)
    in_, out = write(tmp_path / "in", *({"id": n} for n in range(11))), tmp_path / "out"
    judge_all(in_, out, breaking(*poison))
    write(in_, *({"id": n} for n in range(20)))
    with pytest.raises(VerifierFault, match="The same befell"):
        judge_all(in_, out, breaking(*poison))
    assert [row["id"] for row in read(out)] == list(range(20))
    assert {row["id"] for row in read(out) if row["status"] == "infra_error"} == set(poison)


def test_what_was_mended_before_a_stop_is_kept(tmp_path: Path) -> None:
    in_, out = write(tmp_path / "in", *({"id": n} for n in range(6))), tmp_path / "out"
    judge_all(in_, out, breaking(1, 2, 3))
    with VerdictFile(in_, out, "status") as file:
        for row in islice(verdicts(file.rest(), breaking(), "status", threads=1), 2):
            file.write(row)
    assert [row["status"] for row in read(out)] == ["correct"] * 3 + ["infra_error"] + ["correct"] * 2


def test_a_sandbox_that_keeps_breaking_ends_it(tmp_path: Path) -> None:
    def judge(_: dict[str, Any]) -> dict[str, Any]:
        raise SandboxFault("Lost.")

    in_ = write(tmp_path / "in", *({"id": n} for n in range(50)))
    with pytest.raises(VerifierFault, match=r"Lost\. The same befell the 4 lines before"):
        judge_all(in_, tmp_path / "out", judge)
    assert len(read(tmp_path / "out")) == 4


def test_lines_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    def judge(row: dict[str, Any]) -> dict[str, Any]:
        if "gold" not in row:
            raise InputError("`gold` is missing")
        return {"status": "correct"}

    in_ = write(tmp_path / "in", {"id": "a", "gold": "1"}, "{", "[]", {"id": "b"}, "", {"gold": "2"})
    file = judge_all(in_, tmp_path / "out", judge)
    a, torn, other, missing, nameless = read(tmp_path / "out")
    assert (a["status"], nameless["id"]) == ("correct", 6)
    assert (torn["error"], other["error"]) == ("line 2 is no JSON object", "line 3 is no JSON object")
    assert missing["error"] == "line 4: `gold` is missing"
    assert file.counts == {"correct": 2, "error": 3}


@pytest.mark.parametrize(
    "wrong", [[{"id": 9, "status": "correct"}], ["notes"], [{"id": n, "status": "x"} for n in range(4)]]
)
def test_another_files_verdicts_are_not_overwritten(tmp_path: Path, wrong: list[Any]) -> None:
    in_, out = write(tmp_path / "in", *({"id": n} for n in range(3))), write(tmp_path / "out", *wrong)
    before = out.read_bytes()
    with pytest.raises(InputError, match="name another file"):
        VerdictFile(in_, out, "status").__enter__()
    assert out.read_bytes() == before


def test_the_same_ids_with_other_rows_throughout_are_other_lines(tmp_path: Path) -> None:
    in_, out = write(tmp_path / "in", {"id": 1, "gold": "1"}), tmp_path / "out"
    judge_all(in_, out, lambda _: {"status": "correct"})
    write(in_, {"id": 1, "gold": "2"})
    with pytest.raises(InputError, match="name another file"):
        VerdictFile(in_, out, "status").__enter__()
    with pytest.raises(InputError, match="name another file"):
        VerdictFile(write(in_, {"id": 1, "gold": "1"}), out, "status", "another way").__enter__()


def test_changed_and_mended_lines_are_judged_again_in_their_places(tmp_path: Path) -> None:
    in_, out = write(tmp_path / "in", {"id": "a"}, "{", {"id": "c", "gold": 1}, {"id": "d"}), tmp_path / "out"
    assert judge_all(in_, out, breaking()).counts == {"correct": 3, "error": 1}
    before = out.read_text().splitlines()
    write(in_, {"id": "a"}, {"id": "b"}, {"id": "c", "gold": 2}, {"id": "d"}, {"id": "e"})
    again = breaking()
    assert judge_all(in_, out, again).counts == {"correct": 5}
    assert sorted(again.judged) == ["b", "c", "e"]
    assert [row["id"] for row in read(out)] == ["a", "b", "c", "d", "e"]
    after = out.read_text().splitlines()
    assert (before[0], before[3]) == (after[0], after[3])


def test_lines_that_were_all_unreadable_can_be_mended(tmp_path: Path) -> None:
    in_, out = write(tmp_path / "in", "{"), tmp_path / "out"
    assert judge_all(in_, out, breaking()).counts == {"error": 1}
    write(in_, {"id": "a"})
    assert judge_all(in_, out, breaking()).counts == {"correct": 1}
    assert [row["id"] for row in read(out)] == ["a"]


def test_two_processes_never_write_one_file(tmp_path: Path) -> None:
    in_ = write(tmp_path / "in", {"id": 1})
    with VerdictFile(in_, tmp_path / "out", "status"), pytest.raises(InputError, match="Another process writes"):
        VerdictFile(in_, tmp_path / "out", "status").__enter__()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        VerdictFile(write(tmp_path / "in", {"id": 1}), tmp_path / "none" / "out", "status")
