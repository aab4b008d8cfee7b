"""Rows of every kind, and a specification to build them by."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.hashing import content_hash
from kat_data.snapshots.build.write import SnapshotSpec, write_snapshot
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import Record, Row, TrainingStage
from kat_data.snapshots.schema import arrow_schema
from kat_data.snapshots.survey.survey import Survey, Surveyor

TOOLS = ({"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}},)


def make_turn(number: int) -> Turn:
    on = number % 3 == 0
    return Turn(
        user=f"How much is {number} + 1? 请回答",
        judge_analysis="A small sum.",
        mode=Mode.ON if on else Mode.OFF,
        thinking=f"{number} and one" if on else "",
        answer=str(number + 1),
        tool_calls=(ToolCall(name="add", arguments={"b": 1, "a": number}),) if number % 5 == 0 else (),
    )


def make_row(number: int) -> Row:
    turns = (make_turn(number), make_turn(number + 1)) if number % 4 == 0 else (make_turn(number),)
    if number % 20 == 0:
        turns = (replace(turns[0], results=(f"{number + 1}",)), replace(turns[1], user=""))
    sample = Sample(system="Be brief." if number % 2 else None, tools=TOOLS if number % 5 == 0 else (), turns=turns)
    return Row(
        sample=sample,
        query=content_hash(["query", number]).hex(),
        lineage=content_hash(["lineage", number]).hex(),
        category=list(Category)[number % 6],
        source="made-up",
        licence="MIT" if number % 7 else "Apache-2.0",
        domain="arithmetic" if number % 2 else "",
        difficulty=None if number % 9 == 0 else 1 + number % 10,
        reference=str(number + 1),
        verifier=VerifierSpec(kind=VerifierKind.MATH) if number % 2 else None,
        pass_rate=0.25 * (number % 5),
        verdict=Verdict(outcome=Outcome.CORRECT, status=Status.CORRECT, verifier="math/2"),
    )


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return [make_row(number) for number in range(1, 41)]


@pytest.fixture(scope="session")
def surveyed() -> Callable[..., Survey]:
    """Survey records as the columns of one batch."""

    def survey(records: Iterable[Record], stage: TrainingStage, targets: Mapping[str, int]) -> Survey:
        surveyor = Surveyor(targets)
        surveyor.add(pa.RecordBatch.from_pylist(list(records), schema=arrow_schema(stage)))
        return surveyor.survey()

    return survey


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., SnapshotSpec]:
    def make(**changes: object) -> SnapshotSpec:
        values: dict[str, object] = {
            "name": "demo",
            "stage": TrainingStage.STAGE2,
            "seed": 7,
            "recipe": {"name": "demo", "stages": ["tag", "sample_off"]},
            "models": {"voters": ["small", "smaller"]},
            "verifiers": [{"verifier": "math/2", "sha256": "ab" * 32}, {"verifier": "code/2", "sha256": "cd" * 32}],
            "built_at": datetime(2026, 1, 1, tzinfo=UTC),
            "funnel": [{"outcome": "accepted", "queries": 40}, {"outcome": "wrong_answer", "queries": 8}],
            "money": {"usd": 0.125, "calls": 400},
            "error_rates": [{"verifier": "math/2", "cases": 120, "false_correct": 0}],
            "decontamination": {"method": "ngram13/1", "recall": 0.9987, "queries": 1140, "sha256": "ef" * 32},
        }
        return SnapshotSpec(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_snapshot(tmp_path: Path, rows: list[Row], make_spec: Callable[..., SnapshotSpec]) -> Callable[..., Snapshot]:
    """Build a snapshot of two splits and several shards."""

    def make(stage: TrainingStage) -> Snapshot:
        splits = {"train": rows[:30], "test": rows[30:]}
        return open_snapshot(write_snapshot(tmp_path, make_spec(stage=stage), splits, shard_bytes=20_000).path)

    return make
