"""Distributions: bins that hold everything, and strata that may overlap."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kat_data.snapshots.distribution import DIFFICULTIES, PASS_RATES, UNTAGGED, Distribution
from kat_data.snapshots.record import Row, TrainingStage, to_record
from kat_data.snapshots.survey.survey import Survey

Distribute = Callable[..., Distribution]


@pytest.fixture
def distribute(surveyed: Callable[..., Survey]) -> Distribute:
    """Return the distribution of rows in a snapshot of a stage, by default the second."""

    def count(rows: list[Row], targets: dict[str, int], stage: TrainingStage = TrainingStage.STAGE2) -> Distribution:
        return surveyed([to_record(row, stage) for row in rows], stage, targets).distribution

    return count


def reached(distribution: Distribution) -> dict[str, int]:
    return {found.stratum: found.rows for found in distribution.strata}


@pytest.mark.parametrize(
    ("difficulty", "bin_"), [(1, "1"), (1.9, "1"), (2, "2"), (6.5, "6"), (9.9, "9"), (10, "10"), (None, UNTAGGED)]
)
def test_difficulties_are_rounded_down(
    distribute: Distribute, rows: list[Row], difficulty: float | None, bin_: str
) -> None:
    found = distribute([replace(rows[0], difficulty=difficulty)], {})
    assert found == Distribution(difficulty={bin_: 1}, pass_rate={}, strata=())
    assert bin_ in (*DIFFICULTIES, UNTAGGED)


@pytest.mark.parametrize("passed", range(11))
def test_a_tenth_begins_its_own_bin(distribute: Distribute, rows: list[Row], passed: int) -> None:
    rates = [passed / 10, min(1.0, passed / 10 + 0.09)]
    found = distribute([replace(rows[0], pass_rate=rate) for rate in rates], {}, TrainingStage.STAGE3)
    assert found.pass_rate == {PASS_RATES[passed]: 2}


def test_pass_rates_that_nobody_measured_are_counted(distribute: Distribute, rows: list[Row]) -> None:
    found = distribute([replace(rows[0], pass_rate=None)], {}, TrainingStage.STAGE3)
    assert found.pass_rate == {"unmeasured": 1}


def test_a_row_counts_for_the_first_stratum_that_holds_it(distribute: Distribute, rows: list[Row]) -> None:
    both = {"difficulty=5..10": 9, "category=math": 9}
    hard = sum(row.difficulty is not None and row.difficulty >= 5 for row in rows)
    maths = sum(row.category == "math" for row in rows)
    shared = sum(row.category == "math" and (row.difficulty or 0) >= 5 for row in rows)
    assert shared > 0
    found = distribute(rows, both)
    assert reached(found) == {"difficulty=5..10": hard, "category=math": maths - shared}
    assert found.targets == both
    other_way = distribute(rows, dict(reversed(both.items())))
    assert reached(other_way) == {"category=math": maths, "difficulty=5..10": hard - shared}


def test_labels_that_rows_do_not_have_lie_outside(distribute: Distribute, rows: list[Row]) -> None:
    plain = [replace(row, domain="", difficulty=None) for row in rows]
    strata = {"difficulty=1..10": 1, "domain=arithmetic": 1, "pass_rate=0..1": 1}
    assert set(reached(distribute(plain, strata)).values()) == {0}
    assert reached(distribute(plain, strata, TrainingStage.STAGE3))["pass_rate=0..1"] == len(rows)
