"""Preference pairs: the sample's own answer against one that was judged worse, under the same prompt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from kat_data.domain.mode import Mode
from kat_data.domain.rival import Fault, Rival
from kat_data.domain.template import parse, parse_completion
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import SnapshotError, UserError
from kat_data.snapshots.formats.export import export
from kat_data.snapshots.formats.formats import ExportFormat
from kat_data.snapshots.formats.loss import Fitted, Loss
from kat_data.snapshots.formats.preference import pairs
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.record import Row, TrainingStage, to_record

STAGE1, STAGE2, _ = TrainingStage
RIVAL = Rival(
    turn=0, mode=Mode.OFF, thinking="", answer="No idea.", tool_calls=(), model="small", fault=Fault.INCORRECT,
    detail="math/2: incorrect",
)  # fmt: skip


def fit(row: Row, stage: TrainingStage, *rivals: Rival) -> Fitted:
    [fitted] = pairs([to_record(row, stage)], lambda ids: {ids[0]: rivals})
    return fitted


def row_of(rows: Sequence[Row], mode: Mode, turns: int = 1) -> Row:
    return next(row for row in rows if row.sample.turns[0].mode is mode and len(row.sample.turns) == turns)


@pytest.mark.parametrize("stage", [STAGE1, STAGE2])
def test_a_rival_of_the_same_mode_is_rejected_under_the_same_prompt(rows: list[Row], stage: TrainingStage) -> None:
    row = row_of(rows, Mode.OFF)
    fitted = fit(row, stage, RIVAL)
    [pair] = fitted.rows
    [chosen], [rejected] = pair["chosen"], pair["rejected"]
    read = parse if stage is STAGE2 else lambda text: parse_completion(text, Mode.OFF)
    assert read(rejected["content"]) == replace(read(chosen["content"]), answer="No idea.")
    assert [message["role"] for message in pair["prompt"]][-1] == "user"
    assert (pair["reason"], pair["detail"], pair["rejected_model"]) == ("incorrect", "math/2: incorrect", "small")
    assert (pair["id"], fitted.lost) == (row.id, (Loss.LABELS,))


def test_a_rival_of_another_mode_has_the_reason_that_was_given_for_it(rows: list[Row]) -> None:
    row = row_of(rows, Mode.ON)
    assert fit(row, STAGE2, RIVAL) == Fitted(lost=(Loss.NO_JUDGE_ANALYSIS, Loss.NO_RIVAL))
    [pair] = fit(row, STAGE2, replace(RIVAL, mode_reason="One fact.")).rows
    said = parse(pair["rejected"][0]["content"])
    assert (said.mode, said.judge_analysis, pair["rejected_mode"]) == (Mode.OFF, "One fact.", "think_off")
    assert fit(row, STAGE1, replace(RIVAL, mode_reason="One fact.")).lost == (Loss.OTHER_TRIGGER, Loss.NO_RIVAL)


def test_every_turn_has_pairs_of_its_own_in_stage_2_and_the_last_alone_in_stage_1(rows: list[Row]) -> None:
    row = next(row for row in rows if len(row.sample.turns) == 2 and row.sample.turns[0].results)
    rivals = [replace(RIVAL, turn=turn, mode=held.mode, thinking="Hm." if held.mode is Mode.ON else "")
              for turn, held in enumerate(row.sample.turns)]  # fmt: skip
    first, second = fit(row, STAGE2, *rivals).rows
    assert second["prompt"][: len(first["prompt"])] == first["prompt"]
    assert second["prompt"][len(first["prompt"])] == first["chosen"][0]
    assert second["prompt"][-1]["role"] == "tool"
    [last] = fit(row, STAGE1, *rivals).rows
    assert last["prompt"][-1]["role"] == "tool"
    assert fit(row, STAGE1, rivals[0]).lost == (Loss.NO_RIVAL,)


def test_calls_of_a_rival_are_objects(rows: list[Row]) -> None:
    call = ToolCall(name="add", arguments={"a": 7})
    [pair] = fit(row_of(rows, Mode.OFF), STAGE2, replace(RIVAL, tool_calls=(call,))).rows
    assert pair["rejected"][0]["tool_calls"] == [
        {"id": "call_0_0", "type": "function", "function": {"name": "add", "arguments": {"a": 7}}}
    ]


def test_what_the_template_cannot_hold_is_counted(rows: list[Row]) -> None:
    spoilt = replace(RIVAL, answer="<answer>")
    assert fit(row_of(rows, Mode.OFF), STAGE2, spoilt, RIVAL).lost == (Loss.UNFIT_RIVAL, Loss.LABELS)


def test_rows_that_the_registry_does_not_know_are_counted(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot], rows: list[Row]
) -> None:
    snapshot = make_snapshot(STAGE2)
    known = row_of(rows, Mode.OFF).id
    asked: list[str] = []

    def find(ids: Sequence[str]) -> Mapping[str, Sequence[Rival]]:
        asked.extend(ids)
        return {ident: [RIVAL] for ident in ids if ident == known}

    exported = export(snapshot, ExportFormat.PREFERENCE, tmp_path / "out", find_rivals=find)
    assert (exported.rows, exported.lost) == (1, {Loss.LABELS: 1, Loss.UNKNOWN: 39})
    assert asked == [row["id"] for row in snapshot.rows()]
    [file] = [file for file in exported.files if file.suffix == ".jsonl"]
    assert orjson.loads(file.read_bytes())["id"] == known
    with pytest.raises(UserError, match=r"no row of demo@1 is known to this registry: .*KAT_DATABASE_URL or KAT_HOME"):
        export(snapshot, ExportFormat.PREFERENCE, tmp_path / "none", find_rivals=lambda ids: {})
    with pytest.raises(SnapshotError, match="need the registry"):
        export(snapshot, ExportFormat.PREFERENCE, tmp_path / "none")
