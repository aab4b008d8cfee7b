"""Composition: cells add up over any dimensions."""

import pytest

from kat_data.snapshots.composition import BANDS, band, compose, count_transitions, totals
from kat_data.snapshots.record import Row, TrainingStage, to_record


@pytest.mark.parametrize(
    ("difficulty", "expected"),
    [(None, "untagged"), (1, "easy"), (3.5, "easy"), (4, "medium"), (6.9, "medium"), (7, "hard")],
)
def test_bands(difficulty: float | None, expected: str) -> None:
    assert band(difficulty) == expected
    assert expected in BANDS


def test_cells_add_up_over_any_dimensions(rows: list[Row]) -> None:
    records = [to_record(row, TrainingStage.STAGE2) for row in rows]
    cells = compose(records)
    assert cells == compose(reversed(records)) == tuple(sorted(cells))
    assert sum(cell.rows for cell in cells) == len(rows)
    by_category = totals(cells, "category")
    assert by_category[("math",)] == sum(row.category == "math" for row in rows)
    assert list(by_category) == sorted(by_category)
    assert sum(totals(cells, "mode", "band").values()) == len(rows)
    assert totals(cells) == {(): len(rows)}


def test_transitions_are_counted_by_category_where_rows_have_turns(rows: list[Row]) -> None:
    records = [to_record(row, TrainingStage.STAGE2) for row in rows]
    counts = count_transitions(records)
    several = [row for row in rows if len(row.sample.turns) == 2]
    assert sum(sum(found.values()) for found in counts.values()) == len(several) > 0
    assert all(set(found) <= {"off_off", "off_on", "on_off"} for found in counts.values())
    assert count_transitions(to_record(row, TrainingStage.STAGE1) for row in rows) == {}
