"""Formats: each holds the same text as the snapshot, and what it cannot hold is counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet
import pytest

from kat_data.domain.sample import Sample
from kat_data.domain.template import parse, parse_completion
from kat_data.errors import UserError
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.formats.export import Exported, export
from kat_data.snapshots.formats.formats import FORMATS, ExportFormat
from kat_data.snapshots.formats.loss import SENTENCES, Loss
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import Record, Row, TrainingStage, to_record

STAGE1, STAGE2, STAGE3 = TrainingStage
MakeSnapshot = Callable[..., Snapshot]


def lines(exported: Exported) -> dict[str, list[Record]]:
    return {
        file.stem: [orjson.loads(line) for line in file.read_bytes().splitlines()]
        for file in exported.files
        if file.suffix == ".jsonl"
    }


def fit(form: ExportFormat, row: Row, stage: TrainingStage) -> tuple[tuple[Record, ...], tuple[Loss, ...]]:
    fitted = FORMATS[form].fit(to_record(row, stage))  # type: ignore[misc]
    return fitted.rows, fitted.lost


def with_calls(row: Row, name: str = "add") -> Row:
    """The row with the same tools and calls, under another name of the tool."""
    tools = ({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}},)
    turns = tuple(
        replace(turn, tool_calls=tuple(replace(c, name=name) for c in turn.tool_calls)) for turn in row.sample.turns
    )
    return replace(row, sample=replace(row.sample, tools=tools, turns=turns))


def row_of(rows: list[Row], *, turns: int, calls: bool, results: bool = False) -> Row:
    def fits(sample: Any) -> bool:
        made = any(turn.tool_calls for turn in sample.turns)
        return (len(sample.turns), made, any(t.results for t in sample.turns)) == (turns, calls, results)

    return next(row for row in rows if fits(row.sample))


def test_every_loss_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Loss)


@pytest.mark.parametrize("form", [form for form in FORMATS if form is not ExportFormat.PREFERENCE])
@pytest.mark.parametrize("stage", TrainingStage)
def test_a_format_holds_a_stage_or_names_those_that_do(
    tmp_path: Path, make_snapshot: MakeSnapshot, form: ExportFormat, stage: TrainingStage
) -> None:
    snapshot = make_snapshot(stage)
    if stage not in FORMATS[form].columns:
        with pytest.raises(UserError, match=f"{form} cannot hold rows of {stage}: choose one of jsonl, parquet, "):
            export(snapshot, form, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    exported = export(snapshot, form, tmp_path / "out")
    found = lines(exported)
    assert list(found) == ["test", "train"]
    assert sum(map(len, found.values())) == exported.rows
    left_out = sum(count for loss, count in exported.lost.items() if "left out" in SENTENCES[loss])
    assert exported.rows + left_out == 40
    columns = FORMATS[form].columns[stage]
    assert all(row.keys() == columns.keys() for rows in found.values() for row in rows) or not columns


def test_openai_refuses_what_the_service_would(rows: list[Row]) -> None:
    called = row_of(rows, turns=1, calls=True)
    assert fit(ExportFormat.OPENAI, with_calls(called, "add.one"), STAGE2) == ((), (Loss.REFUSED_TOOL,))
    strange = replace(called, sample=replace(called.sample, tools=()))
    assert fit(ExportFormat.OPENAI, strange, STAGE2) == ((), (Loss.REFUSED_TOOL,))
    turn = called.sample.turns[0]
    after = replace(turn, user="And then?", tool_calls=())
    unanswered = replace(called, sample=Sample(system=None, tools=called.sample.tools, turns=(turn, after)))
    assert fit(ExportFormat.OPENAI, unanswered, STAGE2) == ((), (Loss.UNANSWERED_CALLS,))


def test_trl_rows_have_arguments_and_tools_as_objects(rows: list[Row]) -> None:
    row = row_of(rows, turns=2, calls=True, results=True)
    ((found,), lost) = fit(ExportFormat.TRL, row, STAGE2)
    calls = [call for message in found["messages"] for call in message.get("tool_calls", ())]
    assert calls[0]["function"] == {"name": "add", "arguments": {"a": 20, "b": 1}}
    assert found["tools"] == list(row.sample.tools)
    assert all(value for message in found["messages"] for value in message.values())
    assert lost == (Loss.LABELS,)
    ((found,), _) = fit(ExportFormat.TRL, row, STAGE1)
    assert [message["role"] for message in found["completion"]] == ["assistant"]
    assert found["prompt"][-1] == {"role": "tool", "content": "21", "tool_call_id": "call_0_0", "name": "add"}


def test_sharegpt_speakers_alternate_and_calls_are_marked(rows: list[Row]) -> None:
    row = row_of(rows, turns=2, calls=True, results=True)
    ((found,), lost) = fit(ExportFormat.SHAREGPT, row, STAGE2)
    assert [said["from"] for said in found["conversations"]] == ["human", "gpt", "tool", "gpt"]
    text, call = found["conversations"][1]["value"].split("\n<tool_call>\n")
    assert parse(text).answer == row.sample.turns[0].answer
    assert orjson.loads(call.removesuffix("\n</tool_call>")) == {"name": "add", "arguments": {"a": 20, "b": 1}}
    assert found["conversations"][2]["value"] == '<tool_response>\n{"name":"add","content":"21"}\n</tool_response>'
    assert orjson.loads(found["tools"]) == list(row.sample.tools)
    assert set(lost) == {Loss.LABELS, Loss.CALL_IDS}
    assert Loss.LEARNED_HISTORY in fit(ExportFormat.SHAREGPT, row, STAGE1)[1]


def test_sharegpt_leaves_out_text_that_holds_its_marks(rows: list[Row]) -> None:
    row = row_of(rows, turns=1, calls=False)
    turn = replace(row.sample.turns[0], user="What is <tool_call>?")
    marked = replace(row, sample=replace(row.sample, turns=(turn,)))
    assert fit(ExportFormat.SHAREGPT, marked, STAGE2) == ((), (Loss.RESERVED_MARK,))


@pytest.mark.parametrize("stage", [STAGE1, STAGE2])
def test_alpaca_holds_one_turn(rows: list[Row], stage: TrainingStage) -> None:
    row = row_of(rows, turns=1, calls=False)
    ((found,), lost) = fit(ExportFormat.ALPACA, row, stage)
    turn = row.sample.turns[0]
    said = parse(found["output"]) if stage is STAGE2 else parse_completion(found["output"], turn.mode)
    assert (said.answer, found["system"], found["input"]) == (turn.answer, row.sample.system or "", "")
    assert found["instruction"] == (turn.user if stage is STAGE2 else f"{turn.user}\n<{turn.mode}>")
    assert lost == (Loss.LABELS,)
    assert fit(ExportFormat.ALPACA, row_of(rows, turns=2, calls=False), stage) == ((), (Loss.SEVERAL_TURNS,))
    called = row_of(rows, turns=1, calls=True)
    assert fit(ExportFormat.ALPACA, called, stage) == ((), (Loss.CALLS,))
    silent = replace(called, sample=replace(called.sample, turns=(replace(called.sample.turns[0], tool_calls=()),)))
    assert fit(ExportFormat.ALPACA, silent, stage)[1] == (Loss.LABELS, Loss.TOOLS)


def test_rl_rows_carry_all_that_a_reward_needs(rows: list[Row]) -> None:
    checked, free = rows[0], rows[1]
    ((found,), lost) = fit(ExportFormat.RL, checked, STAGE3)
    assert (found["verifier"], found["reference"], found["reference_origin"]) == ("math", "2", "source")
    assert (found["options"], found["pass_rate"], found["id"]) == ("{}", 0.25, checked.id)
    assert found["prompt"][-1]["role"] == "user"
    assert lost == ()
    assert fit(ExportFormat.RL, free, STAGE3) == ((), (Loss.NO_VERIFIER,))


@pytest.mark.parametrize("form", [form for form in FORMATS if FORMATS[form].fit and FORMATS[form].tables])
def test_parquet_holds_what_json_lines_hold(tmp_path: Path, make_snapshot: MakeSnapshot, form: ExportFormat) -> None:
    stage = next(reversed(FORMATS[form].columns))
    snapshot = make_snapshot(stage)
    said = lines(export(snapshot, form, tmp_path / "lines"))
    exported = export(snapshot, form, tmp_path / "tables", parquet=True)
    assert [file.name for file in exported.files] == ["README.md", "test.parquet", "train.parquet"]
    for file in exported.files[1:]:
        stored = pyarrow.parquet.read_table(file).to_pylist()
        assert [_parsed(row, said[file.stem][0]) for row in stored] == said[file.stem]


def _parsed(row: Record, like: Record) -> Record:
    return {
        name: [orjson.loads(part) for part in value] if isinstance(like[name], list) else value
        for name, value in row.items()
    }


def test_openai_has_no_parquet(tmp_path: Path, make_snapshot: MakeSnapshot) -> None:
    with pytest.raises(UserError, match="openai is JSON Lines alone: leave --parquet out"):
        export(make_snapshot(STAGE2), ExportFormat.OPENAI, tmp_path / "out", parquet=True)


def test_an_export_without_any_row_says_why(
    tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]
) -> None:
    unverified = [replace(row, verifier=None) for row in rows]
    written = write_snapshot(tmp_path, make_spec(stage=STAGE3), {"train": unverified})
    with pytest.raises(UserError, match=r"no row of demo@1 fits rl: no_verifier \(40\)"):
        export(open_snapshot(written.path), ExportFormat.RL, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["demo"]
