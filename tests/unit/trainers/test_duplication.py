"""Plans: which layers are doubled, and where the copies stand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kat_data.errors import ConfigError
from trainers.duplication import Choice, Init, by_block, by_list, by_saturation

CURVE = (0.50, 0.91, 0.97, 0.93, 0.99, 0.60)


def test_the_most_saturated_layers_are_doubled_and_copies_stand_behind_their_originals() -> None:
    plan = by_saturation(CURVE, 8, Init.ZERO_OUT)
    assert plan.sources == (0, 1, 2, 2, 3, 4, 4, 5)
    assert plan.copies == (3, 6)
    assert plan.doubled == (2, 4)
    assert plan.places(4) == (5, (6,))
    assert plan.layers == 6


def test_every_layer_is_doubled_once_before_any_is_copied_twice() -> None:
    assert by_saturation(CURVE, 12, Init.COPY).sources == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)
    assert by_saturation(CURVE, 13, Init.COPY).sources == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5)


def test_equal_layers_are_taken_from_below() -> None:
    assert by_saturation([0.9] * 4, 6, Init.COPY).doubled == (0, 1)


def test_a_block_is_contiguous_and_its_copy_stands_behind_it() -> None:
    plan = by_block(CURVE, 9, Init.COPY)  # 2..4 holds 0.97, 0.93, 0.99
    assert plan.sources == (0, 1, 2, 3, 4, 2, 3, 4, 5)
    assert plan.copies == (5, 6, 7)
    assert plan.places(3) == (3, (6,))


def test_the_plan_of_yi_is_the_block_of_its_middle_layers() -> None:
    curve = [0.9] * 12 + [0.99] * 16 + [0.9] * 4
    assert by_block(curve, 48, Init.COPY).sources == (*range(28), *range(12, 28), *range(28, 32))


def test_a_list_doubles_a_layer_as_often_as_it_names_it() -> None:
    plan = by_list(3, (2, 0, 2), Init.COPY)
    assert plan.sources == (0, 0, 1, 2, 2, 2)
    assert plan.copies == (1, 4, 5)
    assert plan.saturation == ()


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: by_saturation(CURVE, 6, Init.COPY), "target_layers: 6: the model has 6 layers already: give more"),
        (lambda: by_block(CURVE, 13, Init.COPY), "target_layers: 13: a block doubles at most all 6 layers: take 12"),
        (lambda: by_list(6, (1, 6), Init.COPY), "doubled: 6: the model's layers are 0 to 5"),
    ],
)
def test_what_does_not_fit_is_one_line(make: object, line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make()  # type: ignore[operator]
    assert str(raised.value) == line


@given(
    curve=st.lists(st.floats(-1, 1), min_size=1, max_size=12),
    extra=st.integers(1, 20),
    choice=st.sampled_from([Choice.SATURATED, Choice.BLOCK]),
)
def test_every_plan_holds_every_layer_once_and_as_many_copies_as_it_needs(
    curve: list[float], extra: int, choice: Choice
) -> None:
    if choice is Choice.BLOCK:
        extra = min(extra, len(curve))
    plan = (by_block if choice is Choice.BLOCK else by_saturation)(curve, len(curve) + extra, Init.COPY)
    originals = [source for place, source in enumerate(plan.sources) if place not in plan.copies]
    assert originals == list(range(len(curve)))
    assert len(plan.copies) == extra
    assert all(plan.sources[copy] in plan.sources[:copy] for copy in plan.copies)


def test_a_plan_reads_well_and_is_json() -> None:
    plan = by_saturation(CURVE, 8, Init.ZERO_OUT)
    assert list(plan.lines()) == [
        "6 -> 8 layers: 2 are doubled (choice: saturated, init: zero_out)",
        "  layer   2  cosine 0.9700  stands at   2, copied to 3",
        "  layer   4  cosine 0.9900  stands at   5, copied to 6",
    ]
    assert json.loads(json.dumps(plan.to_json()))["sources"] == [0, 1, 2, 2, 3, 4, 4, 5]
