"""Verification: a changed byte, a missing file and a false row are all found."""

import os
import random
import re
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kat_data.errors import NotFoundError, SnapshotError
from kat_data.hashing import content_hash, sha256
from kat_data.snapshots.build.write import SnapshotSpec, Written, write_snapshot
from kat_data.snapshots.card.card import card
from kat_data.snapshots.card.plot import plot, plot_into
from kat_data.snapshots.manifest import CARD, MANIFEST, PLOT, Manifest, from_bytes
from kat_data.snapshots.mixture import targets
from kat_data.snapshots.read import open_snapshot, parquet_rows
from kat_data.snapshots.record import Row, TrainingStage, order_key, to_record
from kat_data.snapshots.schema import arrow_schema
from kat_data.snapshots.survey.survey import Survey
from kat_data.snapshots.verify import inspection
from kat_data.snapshots.verify import verify as verify_module
from kat_data.snapshots.verify.invariants import check_row
from kat_data.snapshots.verify.verify import verify
from kat_data.testing.shards import to_parquet

# Its strata overlap, and are not in the order of their names.
MIXTURE = {"stages": [{"select": {"counts": {"difficulty=5..10": 20, "category=math": 9, "mode=think_off": 9}}}]}


@pytest.fixture
def written(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> Written:
    return write_snapshot(tmp_path, make_spec(), {"train": rows[:30], "test": rows[30:]}, shard_bytes=20_000)


def test_a_whole_snapshot_has_no_problems(written: Written) -> None:
    report = verify(written.path)
    assert report.ok
    assert (report.rows, report.shards) == (40, len(written.manifest.hashed.shards))


def test_a_manifest_with_error_rates_beside_the_names_is_whole(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    rates = [{"verifier": "math/1", "cases": 86, "wrong": 5, "sha256": "ab" * 32}]
    written = write_snapshot(tmp_path, make_spec(verifiers=rates, error_rates=[]), {"train": rows})
    document = orjson.loads((written.path / MANIFEST).read_bytes())
    del document["unhashed"]["error_rates"]
    parts = document["hashed"], document["unhashed"]
    document["seal"] = content_hash(parts).hex()
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (written.path / MANIFEST).write_bytes(orjson.dumps(document, option=options))
    assert verify(written.path).problems == ()
    assert f"| math/1 | 86 | {'ab' * 32} | 5 |" in card(open_snapshot(written.path).manifest)


@pytest.fixture
def old(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> Path:
    """A snapshot as they were before manifests stated distributions and plots were drawn."""
    written = write_snapshot(tmp_path / "old", make_spec(recipe=MIXTURE), {"train": rows})
    hashed = replace(written.manifest.hashed, distribution=None)
    unhashed = replace(written.manifest.unhashed, plot_sha256=None, decontamination=None)
    text = card(Manifest(hashed=hashed, unhashed=unhashed)).encode()
    manifest = Manifest(hashed=hashed, unhashed=replace(unhashed, card_sha256=sha256(text).hex()))
    (written.path / CARD).write_bytes(text)
    (written.path / MANIFEST).write_bytes(manifest.to_bytes())
    (written.path / PLOT).unlink()
    return written.path


def test_a_manifest_without_distribution_and_plot_is_whole(old: Path, tmp_path: Path) -> None:
    assert not {"distribution", "plot_sha256"} & set(re.findall(r"\w+", (old / MANIFEST).read_text()))
    assert PLOT not in (old / CARD).read_text()
    assert verify(old).problems == ()
    (old / PLOT).write_bytes(b"")
    assert verify(old).problems == (f"{PLOT} does not belong to the snapshot",)


def test_a_distribution_that_is_not_stated_is_counted_from_the_rows(
    old: Path, tmp_path: Path, surveyed: Callable[..., Survey]
) -> None:
    snapshot = open_snapshot(old)
    spread = snapshot.distribution()
    wanted = dict(sorted(targets(MIXTURE, TrainingStage.STAGE2).items()))
    assert spread == surveyed(snapshot.rows(), TrainingStage.STAGE2, wanted).distribution
    assert sum(spread.difficulty.values()) == snapshot.manifest.hashed.rows
    plot_into(tmp_path / "old.png", snapshot)
    assert (tmp_path / "old.png").read_bytes() == plot(snapshot.manifest, spread)


def test_a_false_distribution_is_found(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> None:
    written = write_snapshot(tmp_path, make_spec(recipe=MIXTURE), {"train": rows})
    hashed = written.manifest.hashed
    assert hashed.distribution is not None
    first, *others = hashed.distribution.strata
    assert (first.stratum, first.target) == ("difficulty=5..10", 20)
    for strata, problem in [
        ((replace(first, rows=first.rows + 1), *others), "the rows do not add up to the manifest's distribution"),
        ((replace(first, target=1), *others), "the manifest's strata are not the mixture of its recipe"),
        (tuple(others), "the manifest's strata are not the mixture of its recipe"),
    ]:
        forged = replace(hashed, distribution=replace(hashed.distribution, strata=strata))
        (written.path / MANIFEST).write_bytes(replace(written.manifest, hashed=forged).to_bytes())
        assert problem in verify(written.path).problems
    broken = replace(hashed, recipe={"stages": [{"select": {"counts": {"colour=red": 1}}}]})
    (written.path / MANIFEST).write_bytes(replace(written.manifest, hashed=broken).to_bytes())
    [said] = verify(written.path).problems
    assert said.startswith("the manifest's mixture cannot be read: ")


def test_a_flipped_byte_anywhere_is_found(written: Written) -> None:
    chance = random.Random(5)
    for path in (p for p in written.path.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for position in {0, len(whole) - 1, *chance.sample(range(len(whole)), 12)}:
            path.write_bytes(
                whole[:position] + bytes([whole[position] ^ 1 << chance.randrange(8)]) + whole[position + 1 :]
            )
            assert any(path.name in problem for problem in verify(written.path).problems), (path.name, position)
        path.write_bytes(whole)
    assert verify(written.path).ok


def test_every_byte_of_the_manifest_counts(written: Written) -> None:
    whole = (written.path / MANIFEST).read_bytes()
    for position in range(0, len(whole), 3):
        with pytest.raises(SnapshotError):
            from_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])


def test_missing_cut_and_foreign_files_are_all_reported(written: Written) -> None:
    first, second = (written.path / shard.path for shard in written.manifest.hashed.shards[:2])
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    (written.path / "data" / "extra.parquet").write_bytes(b"")
    text = "\n".join(verify(written.path).problems)
    assert f"data/{first.name} is missing" in text
    assert f"data/{second.name} was changed" in text
    assert "data/extra.parquet does not belong" in text


def test_every_file_counts_to_its_last_byte(written: Written) -> None:
    files = [p for p in written.path.rglob("*") if p.is_file()]
    assert {"README.md", "composition.png", "lengths.png", "manifest.json"} < {p.name for p in files}
    for path in files:
        whole = path.read_bytes()
        for data in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0", None):
            path.unlink() if data is None else path.write_bytes(data)
            if path.name == MANIFEST and data is None:
                with pytest.raises(NotFoundError):
                    verify(written.path)
            else:
                assert any(path.name in problem for problem in verify(written.path).problems), path.name
            path.write_bytes(whole)
    assert verify(written.path).ok


@pytest.mark.parametrize("name", ["extra.txt", "data/train-00099.parquet", "data/deeper/lengths.png", ".hidden"])
def test_a_file_that_does_not_belong_is_found(written: Written, name: str) -> None:
    (written.path / name).parent.mkdir(exist_ok=True)
    (written.path / name).write_bytes(b"")
    assert verify(written.path).problems == (f"{name} does not belong to the snapshot",)


def test_a_folder_without_a_manifest_is_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no snapshot"):
        verify(tmp_path)


def reseal(written: Written, records: list[dict[str, Any]]) -> None:
    """Replace the first shard by other rows, with a manifest whose hashes all fit: only the rows can tell."""
    shard, *others = written.manifest.hashed.shards
    data = to_parquet(records, TrainingStage.STAGE2)
    (written.path / shard.path).write_bytes(data)
    forged = replace(shard, rows=len(records), bytes=len(data), sha256=sha256(data).hex())
    hashed = replace(written.manifest.hashed, shards=(forged, *others))
    (written.path / MANIFEST).write_bytes(replace(written.manifest, hashed=hashed).to_bytes())


def test_rows_that_hashes_cannot_vouch_for_are_found(written: Written, rows: list[Row]) -> None:
    foreign = [to_record(row, TrainingStage.STAGE2) for row in rows[:3]]
    reseal(written, foreign)
    text = "\n".join(verify(written.path).problems)
    assert "rows are not the sum of its shards' rows" in text
    assert "rows can be read, the manifest says 40" in text


def test_a_false_order_and_composition_are_found(written: Written) -> None:
    snapshot = open_snapshot(written.path)
    shard = snapshot.manifest.hashed.shards[0]
    records = list(parquet_rows(snapshot.shard_bytes(shard), shard.path))[::-1]
    records[0] = {**records[0], "domain": "alchemy", "source": "elsewhere"}
    reseal(written, records)
    text = "\n".join(verify(written.path).problems)
    assert "train are not in the order" in text
    assert "composition" in text
    assert "count by source" in text


def shard_records(written: Written, place: int = 0) -> list[dict[str, Any]]:
    snapshot = open_snapshot(written.path)
    shard = snapshot.manifest.hashed.shards[place]
    return list(parquet_rows(snapshot.shard_bytes(shard), shard.path))


def test_a_row_that_stands_there_twice_is_found(written: Written) -> None:
    records = shard_records(written)
    reseal(written, [records[0], *records])
    text = "\n".join(verify(written.path).problems)
    assert "two rows of train have the same id" in text
    assert "train are not in the order" not in text


def test_an_order_that_breaks_between_shards_is_found(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    written = write_snapshot(tmp_path, make_spec(), {"train": rows}, shard_bytes=9_000)
    first, second, *others = written.manifest.hashed.shards
    hashed = replace(written.manifest.hashed, shards=(second, first, *others))
    (written.path / MANIFEST).write_bytes(replace(written.manifest, hashed=hashed).to_bytes())
    assert "the rows of train are not in the order that the seed gives" in verify(written.path).problems


def test_many_false_rows_are_counted(written: Written) -> None:
    records = [{**record, "category": "poetry"} for record in shard_records(written)] * 3
    reseal(written, records)
    problems = [problem for problem in verify(written.path).problems if "train-00000" in problem]
    assert len([problem for problem in problems if "row" in problem and "poetry" in problem]) == 20
    assert problems[-1].endswith(f": {len(records) - 20} more problems of its rows")


def test_rows_of_other_types_are_a_problem_and_no_crash(written: Written) -> None:
    records = shard_records(written)
    table = pa.Table.from_pylist([{**record, "source": number} for number, record in enumerate(records)])
    path = written.path / written.manifest.hashed.shards[0].path
    pq.write_table(table, path)
    data = path.read_bytes()
    shard, *others = written.manifest.hashed.shards
    forged = replace(shard, bytes=len(data), sha256=sha256(data).hex())
    hashed = replace(written.manifest.hashed, shards=(forged, *others))
    (written.path / MANIFEST).write_bytes(replace(written.manifest, hashed=hashed).to_bytes())
    assert any("cannot be counted" in problem for problem in verify(written.path).problems)


def test_splits_share_no_query(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> None:
    other = replace(rows[30], query=rows[0].query)
    written = write_snapshot(tmp_path, make_spec(), {"train": rows[:30], "test": [other, *rows[31:]]})
    assert verify(written.path).problems == ("the splits train and test share 1 queries",)


@pytest.mark.parametrize("at", [0, 14, 29])
def test_a_shared_query_is_found_in_any_batch_of_any_split(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(inspection, "_ROWS", 4)
    other = replace(rows[35], query=rows[at].query)
    splits = {"train": rows[:30], "validation": rows[30:33], "test": [*rows[33:35], other, *rows[36:]]}
    written = write_snapshot(tmp_path, make_spec(), splits)
    assert verify(written.path).problems == ("the splits train and test share 1 queries",)


def test_splits_share_no_row(written: Written) -> None:
    """A row of one split stands in the other too, and every hash and the order fit."""
    train, test = written.manifest.hashed.shards
    theirs = shard_records(written, place=1)
    records = sorted([shard_records(written)[0], *theirs], key=lambda record: order_key(7, record))
    data = to_parquet(records, TrainingStage.STAGE2)
    (written.path / test.path).write_bytes(data)
    forged = replace(test, rows=len(records), bytes=len(data), sha256=sha256(data).hex())
    hashed = replace(written.manifest.hashed, shards=(train, forged), rows=41)
    (written.path / MANIFEST).write_bytes(replace(written.manifest, hashed=hashed).to_bytes())
    problems = verify(written.path).problems
    assert "the splits train and test share 1 ids" in problems
    assert "the splits train and test share 1 queries" in problems
    assert not any("order" in problem for problem in problems)


def test_a_licence_that_the_recipe_does_not_allow_is_found(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    mit = sum(row.licence == "MIT" for row in rows)
    fine = write_snapshot(tmp_path / "fine", make_spec(allowed_licences=["mit", "Apache 2.0"]), {"train": rows})
    assert verify(fine.path).ok
    written = write_snapshot(tmp_path / "not", make_spec(allowed_licences=["apache-2.0"]), {"train": rows})
    assert verify(written.path).problems == (f"{mit} rows have the licence MIT, which the recipe does not allow",)


def test_false_statistics_are_found(written: Written) -> None:
    statistics = written.manifest.unhashed.statistics
    assert statistics is not None
    forged = replace(written.manifest.unhashed, statistics=replace(statistics, scripts={"Thai": 40}))
    (written.path / MANIFEST).write_bytes(replace(written.manifest, unhashed=forged).to_bytes())
    assert verify(written.path).problems == ("the rows do not add up to the manifest's statistics",)


def test_several_processes_find_the_same(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    records = shard_records(written)
    reseal(written, [{**records[0], "difficulty": 11.0}, *records[1:]])
    alone = verify(written.path)
    assert not alone.ok
    monkeypatch.setattr(verify_module, "_FEW", 1)
    told: list[tuple[int, int]] = []
    assert verify(written.path, processes=2, observe=lambda done, total: told.append((done, total))) == alone
    assert len(told) == alone.shards
    assert told[-1] == (40, 40)


@pytest.mark.parametrize("name", [CARD, PLOT])
def test_a_link_to_nowhere_and_a_folder_in_a_files_place_are_problems(written: Written, name: str) -> None:
    (written.path / name).unlink()
    (written.path / name).symlink_to(written.path / "gone")
    assert verify(written.path).problems == (f"{name} cannot be read: No such file or directory",)
    (written.path / name).unlink()
    (written.path / name).mkdir()
    assert verify(written.path).problems == (f"{name} cannot be read: Is a directory",)


def test_a_shard_that_cannot_be_read_is_a_problem(written: Written) -> None:
    test = written.manifest.hashed.shards[-1].path
    (written.path / test).unlink()
    (written.path / test).mkdir()
    found = verify(written.path).problems
    assert found[0].startswith(f"{test} cannot be read as Parquet: ")
    assert found[1].endswith("rows can be read, the manifest says 40")


def test_a_process_that_is_killed_is_a_problem(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last shard is a pipe into which nobody writes: whoever reads it waits until it is killed."""
    *_, last = written.manifest.hashed.shards
    (written.path / last.path).unlink()
    os.mkfifo(written.path / last.path)
    monkeypatch.setattr(verify_module, "_FEW", 1)

    def kill(done: int, total: int) -> None:
        if done == total - last.rows:
            for process in active_children():
                process.kill()

    report = verify(written.path, processes=2, observe=kill)
    assert report.problems[0].startswith(f"{last.path} and the shards after it cannot be read: a process that read")


def falsify(record: dict[str, Any], path: str, value: object) -> None:
    *steps, last = path.split(".")
    target: Any = record
    for step in steps:
        target = target[int(step) if step.lstrip("-").isdecimal() else step]
    target[last] = value


@pytest.mark.parametrize(
    ("stage", "path", "value", "problem"),
    [
        (TrainingStage.STAGE2, "id", "x", "id is not a SHA-256"),
        (TrainingStage.STAGE2, "id", "0" * 64, "the id is not the hash of the content"),
        (TrainingStage.STAGE2, "lineage", "", "lineage is not a SHA-256"),
        (TrainingStage.STAGE2, "category", "poetry", "category"),
        (TrainingStage.STAGE2, "mode", "think_maybe", "neither think_on nor think_off"),
        (TrainingStage.STAGE2, "mode", "think_on", "last turn's mode"),
        (TrainingStage.STAGE2, "difficulty", 11.0, "difficulty"),
        (TrainingStage.STAGE2, "tools", "[", "malformed"),
        (TrainingStage.STAGE2, "turns", [], "malformed|template"),
        (TrainingStage.STAGE2, "turns.0.answer", "5", "structured turns differ"),
        (TrainingStage.STAGE2, "messages.-1.content", "<answer>\n5\n</answer>", "the template refuses it"),
        (TrainingStage.STAGE2, "messages.-1.content", None, "the template refuses it"),
        (TrainingStage.STAGE2, "messages.-1.name", "else", "do not render back"),
        (TrainingStage.STAGE2, "messages.0.role", None, "the template refuses it"),
        (TrainingStage.STAGE2, "verdict", None, "it has no verdict"),
        (TrainingStage.STAGE2, "verdict.outcome", "incorrect", "its verdict is incorrect, by math/2"),
        (TrainingStage.STAGE1, "verdict.outcome", "incorrect", "its verdict is incorrect, by math/2"),
        (TrainingStage.STAGE2, "id", None, "id is not a SHA-256"),
        (TrainingStage.STAGE2, "difficulty", "hard", "malformed"),
        (TrainingStage.STAGE1, "prompt.-1.content", "How much?", "the template refuses it: user"),
        (TrainingStage.STAGE1, "prompt.-1.content", "How much?\n<think_on>", "the template refuses it: thinking"),
        (TrainingStage.STAGE1, "prompt.0.content", "a <judge> b", "holds a tag of the template"),
        (TrainingStage.STAGE1, "completion.0.content", "2", "the template refuses it"),
        (TrainingStage.STAGE1, "completion", [], "malformed"),
        (TrainingStage.STAGE1, "mode", "think_on", "trigger is not the row's mode"),
        (TrainingStage.STAGE3, "prompt.-1.role", "assistant", "does not end with a message of the user"),
        (TrainingStage.STAGE3, "prompt.-1.content", "<think_on>", "holds a tag"),
        (TrainingStage.STAGE3, "pass_rate", 1.5, "pass rate"),
        (TrainingStage.STAGE3, "verifier.options", "{", "malformed"),
    ],
)
def test_a_false_row_is_found(rows: list[Row], stage: TrainingStage, path: str, value: object, problem: str) -> None:
    record = to_record(rows[0], stage)
    assert list(check_row(record, stage)) == []
    falsify(record, path, value)
    found = list(check_row(record, stage))
    assert any(part in line for line in found for part in problem.split("|")), found


def as_of_the_first_schema(kind: pa.DataType) -> pa.DataType:
    """Version 1 had no results: no such field in messages and turns."""
    if pa.types.is_list(kind):
        return pa.list_(as_of_the_first_schema(kind.value_type))
    later = ("tool_call_id", "name", "results") if pa.types.is_struct(kind) and len(kind) > 3 else ()
    return pa.struct([field for field in kind if field.name not in later]) if later else kind


def made_older(path: Path, version: int) -> None:
    """Make of a snapshot what a program of an earlier schema would have written."""
    manifest = open_snapshot(path).manifest
    columns = arrow_schema(manifest.hashed.stage, version)
    if version == 1:
        columns = pa.schema([(field.name, as_of_the_first_schema(field.type)) for field in columns])
    shards = []
    for shard in manifest.hashed.shards:
        rows = pq.read_table(path / shard.path).select(columns.names).to_pylist()
        pq.write_table(pa.Table.from_pylist(rows, schema=columns), path / shard.path)
        data = (path / shard.path).read_bytes()
        shards.append(replace(shard, bytes=len(data), sha256=sha256(data).hex()))
    hashed = replace(manifest.hashed, schema_version=version, shards=tuple(shards))
    hashed = replace(hashed, transitions=None) if version == 1 else hashed
    unhashed = replace(manifest.unhashed, statistics=None)
    (path / MANIFEST).write_bytes(Manifest(hashed=hashed, unhashed=unhashed).to_bytes())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("stage", [TrainingStage.STAGE1, TrainingStage.STAGE2])
def test_a_snapshot_of_an_earlier_schema_is_still_whole(
    rows: list[Row], make_spec: Callable[..., SnapshotSpec], tmp_path: Path, stage: TrainingStage, version: int
) -> None:
    old = [row for row in rows if not any(turn.results for turn in row.sample.turns)]
    path = write_snapshot(tmp_path, make_spec(stage=stage), {"train": old}).path
    made_older(path, version)
    row = next(open_snapshot(path).rows())
    assert "verdict" not in row
    assert ("results" in row.get("turns", [{"results": []}])[0]) == (version > 1 or stage is TrainingStage.STAGE1)
    assert verify(path).problems == ()
    assert (b"transitions" in (path / MANIFEST).read_bytes()) == (version > 1)


def test_shards_bear_the_names_of_their_splits_and_have_their_bytes(written: Written) -> None:
    first, *others = written.manifest.hashed.shards
    for forged, told in (
        (replace(first, split="validation"), "does not bear the name of its split validation"),
        (replace(first, bytes=first.bytes + 1), f"has {first.bytes} bytes, the manifest says {first.bytes + 1}"),
    ):
        hashed = replace(written.manifest.hashed, shards=(forged, *others))
        (written.path / MANIFEST).write_bytes(replace(written.manifest, hashed=hashed).to_bytes())
        assert any(told in problem for problem in verify(written.path).problems)


def test_a_verdict_is_one_that_a_verifier_can_give(written: Written, rows: list[Row]) -> None:
    records = [to_record(row, TrainingStage.STAGE2) for row in rows[:3]]
    judged = next(record for record in records if record["verdict"])
    judged["verdict"] = judged["verdict"] | {"outcome": "banana"}
    reseal(written, records)
    assert any("its verdict is banana" in problem for problem in verify(written.path).problems)
