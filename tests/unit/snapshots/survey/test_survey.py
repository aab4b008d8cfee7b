"""Surveys: what is counted from columns is what is counted from records, one by one."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from kat_data.domain.mode import Mode, transitions
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.stratum import first_that_holds, parse_stratum
from kat_data.errors import SnapshotError
from kat_data.snapshots.composition import Cell
from kat_data.snapshots.distribution import Distribution, StratumRows, labels_of
from kat_data.snapshots.record import Record, Row, TrainingStage, to_record
from kat_data.snapshots.survey import survey as survey_module
from kat_data.snapshots.survey.survey import Surveyor, survey
from kat_data.testing.shards import to_parquet

TARGETS = {
    "category=math domain=set_theory": 5,
    "switches=yes difficulty=4..10": 30,
    "switches=no": 4,
    "mode=think_on domain=algebra,set_theory": 9,
    "pass_rate=0..0.5": 8,
    "difficulty=1..3.5": 7,
    "category=code,general": 1,
}


def turn(chance: random.Random) -> Turn:
    mode = chance.choice(list(Mode))
    thinking = "想" * chance.randrange(1, 400) if mode is Mode.ON else ""
    return Turn(
        user="é?", judge_analysis="Why not.", mode=mode, thinking=thinking, answer="x" * chance.randrange(1, 90)
    )


def spread(rows: list[Row], count: int) -> list[Row]:
    """Rows of all kinds: edges of bins, domains with spaces, one to four turns, labels that are missing."""
    chance = random.Random(11)
    return [
        replace(
            rows[number % len(rows)],
            sample=Sample(system=None, tools=(), turns=tuple(turn(chance) for _ in range(chance.choice((1, 1, 2, 4))))),
            difficulty=chance.choice((None, 1, 1.5, 2, 3.5, 3.999, 4, 6.5, 7, 9.9, 10)),
            domain=chance.choice(("", "set theory", "algebra", "set_theory")),
            pass_rate=chance.choice((None, 0.0, 0.1, 0.3, 0.5, 0.7, 0.999, 1.0)),
            source=chance.choice(("books", "web")),
        )
        for number in range(count)
    ]


def write(folder: Path, records: list[Record], stage: TrainingStage, size: int = 100) -> list[Path]:
    paths = [folder / f"{number}.parquet" for number in range(0, len(records), size)]
    for path in paths:
        path.write_bytes(to_parquet(records[int(path.stem) : int(path.stem) + size], stage))
    return paths


def counted(records: Iterable[Record], label: str) -> dict[str, int]:
    return dict(Counter(record[label] for record in records))


def compose(records: Iterable[Record]) -> tuple[Cell, ...]:
    """Count records one by one."""
    counts = Counter((r["category"], r["mode"], band(r["difficulty"]), r["domain"]) for r in records)
    return tuple(
        Cell(category=category, mode=mode, band=difficulty, domain=domain, rows=rows)
        for (category, mode, difficulty, domain), rows in sorted(counts.items())
    )


def band(difficulty: float | None) -> str:
    if difficulty is None:
        return "untagged"
    return "easy" if difficulty < 4 else "medium" if difficulty < 7 else "hard"


def count_transitions(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Count steps from turn to turn one by one."""
    counts: dict[str, Counter[str]] = {}
    for record in records:
        modes = [Mode(turn["mode"]) for turn in record.get("turns", ())]
        if len(modes) > 1:
            counts.setdefault(record["category"], Counter()).update(t.value for t in transitions(modes))
    return {category: dict(sorted(found.items())) for category, found in sorted(counts.items())}


def distribute(records: Iterable[Record]) -> Distribution:
    """Count records one by one; one counts for the first stratum of `TARGETS` that holds it."""
    names = {parse_stratum(name): name for name in TARGETS}
    difficulty, pass_rate, reached = Counter[str](), Counter[str](), Counter[str]()
    for record in records:
        difficulty["untagged" if record["difficulty"] is None else str(int(record["difficulty"]))] += 1
        if "pass_rate" in record:
            rate = record["pass_rate"]
            pass_rate["unmeasured" if rate is None else f"{max(t for t in range(11) if t / 10 <= rate) / 10:.1f}"] += 1
        if stratum := first_that_holds(tuple(names), labels_of(record)):
            reached[names[stratum]] += 1
    return Distribution(
        difficulty=dict(sorted(difficulty.items())),
        pass_rate=dict(sorted(pass_rate.items())),
        strata=tuple(StratumRows(stratum=name, target=target, rows=reached[name]) for name, target in TARGETS.items()),
    )


@pytest.mark.parametrize("stage", TrainingStage)
def test_a_survey_counts_what_the_records_hold(
    stage: TrainingStage, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_module, "_ROWS", 64)
    records = [to_record(row, stage) for row in spread(rows, 450)]
    found = survey(write(tmp_path, records, stage), stage, TARGETS)
    assert found.rows == len(records)
    assert found.composition == compose(records)
    assert found.transitions == count_transitions(records)
    assert list(found.transitions) == sorted(found.transitions)
    assert found.distribution == distribute(records)
    assert list(found.distribution.difficulty) == sorted(found.distribution.difficulty)
    assert found.sources == counted(records, "source")
    assert found.licences == counted(records, "licence")
    if stage is TrainingStage.STAGE2:
        assert set(found.transitions["math"]) == {"off_off", "off_on", "on_off", "on_on"}
        assert all(stratum.rows for stratum in found.distribution.strata if "pass_rate" not in stratum.stratum)


@pytest.mark.parametrize("stage", TrainingStage)
def test_parts_of_a_survey_add_up_to_the_whole(stage: TrainingStage, rows: list[Row], tmp_path: Path) -> None:
    records = [to_record(row, stage) for row in spread(rows, 300)]
    paths = write(tmp_path, records, stage)
    whole = Surveyor(TARGETS)
    for path in paths:
        part = Surveyor(TARGETS)
        for batch in survey_module.batches(path, stage):
            part.add(batch)
        whole.merge(part)
    assert whole.survey() == survey(paths, stage, TARGETS)


def test_lengths_are_those_of_every_turn(rows: list[Row], tmp_path: Path) -> None:
    varied = spread(rows, 300)
    records = [to_record(row, TrainingStage.STAGE2) for row in varied]
    prompts, on, off = survey(
        write(tmp_path, records, TrainingStage.STAGE2), TrainingStage.STAGE2, {}
    ).statistics.lengths
    turns = [turn for row in varied for turn in row.sample.turns]
    assert (prompts.of, prompts.texts) == ("prompt", len(records))
    assert prompts.characters == {"prompt": 2 * len(turns)}
    for lengths, mode in ((off, Mode.OFF), (on, Mode.ON)):
        mine = [turn for turn in turns if turn.mode is mode]
        texts = [turn.judge_analysis + turn.thinking + turn.answer for turn in mine]
        tokens = sorted(-(-len(text.encode()) // 4) for text in texts)
        assert (lengths.of, lengths.texts, lengths.tokens) == (mode.value, len(mine), sum(tokens))
        assert sum(lengths.characters.values()) == sum(map(len, texts))
        assert lengths.characters["thinking"] == sum(len(turn.thinking) for turn in mine)
        assert lengths.longest == tokens[-1]
        for percent, said in ((50, lengths.median), (90, lengths.p90), (99, lengths.p99)):
            exact = tokens[-(-len(tokens) * percent // 100) - 1]
            assert said <= exact < said * 1.07, percent
        octaves = Counter(1 << (number.bit_length() - 1) for number in tokens)
        assert lengths.histogram == {str(begin): octaves[begin] for begin in sorted(octaves)}


def test_stage_1_measures_whole_completions(rows: list[Row], tmp_path: Path) -> None:
    records = [to_record(row, TrainingStage.STAGE1) for row in spread(rows, 90)]
    found = survey(write(tmp_path, records, TrainingStage.STAGE1), TrainingStage.STAGE1, {}).statistics.lengths
    assert [lengths.of for lengths in found] == ["prompt", "think_on", "think_off"]
    for lengths in found[1:]:
        texts = [r["completion"][0]["content"] for r in records if r["mode"] == lengths.of]
        assert lengths.characters == {"completion": sum(map(len, texts))}
    assert found[0].characters == {"prompt": sum(len(m["content"]) for r in records for m in r["prompt"])}


def test_pairs_have_prompts_alone(rows: list[Row], tmp_path: Path) -> None:
    records = [to_record(row, TrainingStage.STAGE3) | {"mode": ""} for row in rows]
    found = survey(write(tmp_path, records, TrainingStage.STAGE3), TrainingStage.STAGE3, {})
    assert [asdict(lengths)["of"] for lengths in found.statistics.lengths] == ["prompt"]
    assert found.composition == compose(records)


def test_modes_that_nobody_knows_are_no_step(rows: list[Row], tmp_path: Path) -> None:
    records = [to_record(row, TrainingStage.STAGE2) for row in spread(rows, 20)]
    for record in records:
        record["turns"][0]["mode"] = "think_maybe"
    known = [{**record, "turns": record["turns"][1:]} for record in records]
    found = survey(write(tmp_path, records, TrainingStage.STAGE2), TrainingStage.STAGE2, {})
    assert found.transitions == count_transitions(known)


def test_what_is_no_parquet_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "0.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SnapshotError, match=r"0\.parquet cannot be read as Parquet"):
        survey([tmp_path / "0.parquet"], TrainingStage.STAGE1, {})
