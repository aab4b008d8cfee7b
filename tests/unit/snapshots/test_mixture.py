"""The mixture: what the recipe asks for, and what is said of every stratum."""

from typing import Any

import pytest

from kat_data.errors import SnapshotError
from kat_data.snapshots.distribution import Distribution, StratumRows
from kat_data.snapshots.mixture import category_targets, compare, lines, targets, untold, within
from kat_data.snapshots.record import Row, TrainingStage, to_record
from kat_data.stages.select import Select


def recipe(**select: Any) -> dict[str, Any]:
    return {"stages": [{"tag": {}}, {"select": select}, {"verify": {}}]}


def strata(*rows: tuple[str, int, int]) -> tuple[StratumRows, ...]:
    return tuple(StratumRows(stratum=name, target=target, rows=reached) for name, target, reached in rows)


@pytest.mark.parametrize(
    "select",
    [
        Select(samples=100, shares={"category=math mode=on": 0.655, "mode=off": 0.1, "any": 0.245}),
        Select(counts={"difficulty=6..9": 7, "any": 3}),
    ],
)
def test_the_targets_are_those_that_the_stage_fills(select: Select) -> None:
    found = targets(recipe(**select.model_dump(mode="json")), TrainingStage.STAGE2)
    assert list(found.items()) == list(select.mixture.targets.items())


@pytest.mark.parametrize("plain", [{}, {"stages": ["tag", "verify"]}, {"stages": [{"tag": {}}]}])
def test_a_recipe_without_the_stage_has_no_targets(plain: dict[str, Any]) -> None:
    assert targets(plain, TrainingStage.STAGE1) == {}
    assert untold(plain, TrainingStage.STAGE1) == ()


def test_pass_rates_are_compared_where_rows_hold_them() -> None:
    asked = recipe(counts={"pass_rate=0.1..0.5": 3, "any": 1})
    assert targets(asked, TrainingStage.STAGE3) == {"pass_rate=0.1..0.5": 3, "any": 1}
    assert targets(asked, TrainingStage.STAGE2) == {}
    assert untold(asked, TrainingStage.STAGE2) == ("pass_rate",)


def test_transitions_are_compared_where_rows_have_turns() -> None:
    asked = recipe(counts={"switches=yes": 3, "switches=no pass_rate=0..1": 3})
    assert untold(asked, TrainingStage.STAGE2) == ("pass_rate",)
    assert untold(asked, TrainingStage.STAGE3) == ("switches",)
    assert targets(recipe(counts={"switches=yes": 3}), TrainingStage.STAGE2) == {"switches=yes": 3}


def test_a_snapshot_takes_the_first_rows_of_each_stratum(rows: list[Row]) -> None:
    records = [to_record(row, TrainingStage.STAGE2) for row in rows]
    taken = within(
        records, {"category=math": 3, "category=code mode=on": 2, "category=science": 0, "category=code": 99}
    )

    def first(count: int, category: str, *modes: str) -> list[str]:
        return [r["id"] for r in records if r["category"] == category and (not modes or r["mode"] in modes)][:count]

    assert taken == {*first(3, "math"), *first(2, "code", "think_on"), *first(99, "code", "think_off")}
    assert len(first(4, "math")) == 4
    assert within(records, {}) == {record["id"] for record in records}


@pytest.mark.parametrize("select", [{}, {"shares": {"any": 1}}, {"counts": {"colour=red": 1}}, {"counts": ["any"]}])
def test_a_broken_mixture_is_one_clear_line(select: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match="the mixture of the recipe cannot be read: ") as caught:
        targets(recipe(**select), TrainingStage.STAGE2)
    assert "\n" not in str(caught.value)


def test_the_comparison_adds_up() -> None:
    counted = strata(("category=math", 60, 60), ("category=code", 40, 15))
    reached = compare(Distribution(difficulty={}, pass_rate={}, strata=counted), 100)
    maths, code = reached.strata
    assert (maths.target_share, maths.share, maths.difference, maths.state) == (0.6, 0.6, 0.0, "filled")
    assert (code.target_share, code.share, code.state) == (0.4, 0.15, "short")
    assert code.difference == pytest.approx(-25)
    assert (reached.outside, reached.outside_share) == (25, 0.25)
    assert lines(reached) == [
        ("category=math", 60, "60.0%", 60, "60.0%", "+0.0 pp", "filled"),
        ("category=code", 40, "40.0%", 15, "15.0%", "-25.0 pp", "short"),
        ("outside every stratum", "", "", 25, "25.0%", "", ""),
    ]


def test_a_mixture_that_wants_nothing_is_filled() -> None:
    counted = strata(("any", 0, 3))
    [only] = compare(Distribution(difficulty={}, pass_rate={}, strata=counted), 3).strata
    assert (only.target_share, only.share, only.state) == (0.0, 1.0, "filled")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["category=math mode=think_on", "category=math mode=think_off"],
            {"math": {"think_on": 0.5, "think_off": 0.5}},
        ),
        (["category=math difficulty=1..5", "category=math difficulty=6..10"], {"math": {"": 1.0}}),
        (["category=math", "category=code mode=think_on"], {"math": {"": 0.5}, "code": {"think_on": 0.5}}),
        (["category=math", "category=code,science"], {"math": {"": 0.5}}),
        (["category=math", "category=math,science"], {}),
        (["category=math", "mode=think_on"], {}),
    ],
)
def test_targets_are_told_of_categories_that_no_stratum_shares(
    names: list[str], expected: dict[str, dict[str, float]]
) -> None:
    assert category_targets(strata(*((name, 5, 0) for name in names))) == expected


def test_a_stratum_that_wants_nothing_does_not_hide_the_categories() -> None:
    assert category_targets(strata(("category=math", 5, 0), ("any", 0, 0))) == {"math": {"": 1.0}}
