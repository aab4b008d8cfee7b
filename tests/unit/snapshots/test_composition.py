"""Composition: cells add up over any dimensions."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kat_data.snapshots.composition import BANDS, totals
from kat_data.snapshots.record import Row, TrainingStage, to_record
from kat_data.snapshots.survey.survey import Survey


@pytest.mark.parametrize(
    ("difficulty", "expected"),
    [(None, "untagged"), (1, "easy"), (3.5, "easy"), (4, "medium"), (6.9, "medium"), (7, "hard"), (10, "hard")],
)
def test_bands(rows: list[Row], surveyed: Callable[..., Survey], difficulty: float | None, expected: str) -> None:
    record = to_record(replace(rows[0], difficulty=difficulty), TrainingStage.STAGE2)
    [cell] = surveyed([record], TrainingStage.STAGE2, {}).composition
    assert cell.band == expected
    assert expected in BANDS


def test_cells_add_up_over_any_dimensions(rows: list[Row], surveyed: Callable[..., Survey]) -> None:
    records = [to_record(row, TrainingStage.STAGE2) for row in rows]
    cells = surveyed(records, TrainingStage.STAGE2, {}).composition
    assert cells == surveyed(reversed(records), TrainingStage.STAGE2, {}).composition == tuple(sorted(cells))
    assert sum(cell.rows for cell in cells) == len(rows)
    by_category = totals(cells, "category")
    assert by_category[("math",)] == sum(row.category == "math" for row in rows)
    assert list(by_category) == sorted(by_category)
    assert sum(totals(cells, "mode", "band").values()) == len(rows)
    assert totals(cells) == {(): len(rows)}


def test_transitions_are_counted_by_category_where_rows_have_turns(
    rows: list[Row], surveyed: Callable[..., Survey]
) -> None:
    records = [to_record(row, TrainingStage.STAGE2) for row in rows]
    counts = surveyed(records, TrainingStage.STAGE2, {}).transitions
    several = [row for row in rows if len(row.sample.turns) == 2]
    assert sum(sum(found.values()) for found in counts.values()) == len(several) > 0
    assert all(set(found) <= {"off_off", "off_on", "on_off"} for found in counts.values())
    plain = [to_record(row, TrainingStage.STAGE1) for row in rows]
    assert surveyed(plain, TrainingStage.STAGE1, {}).transitions == {}
