"""Mixtures: targets by stratum, and the pools in which queries wait for them."""

from typing import Any

import pytest

from kat_data.domain.mixture import STAGE, Mixture, mixture, mixture_of
from kat_data.domain.stratum import Labels, parse_stratum
from kat_data.stages.select import Select

CONVERSATIONS = Mixture(
    targets={
        "category=math mode=think_on": 5,
        "category=multi_turn mode=think_on switches=yes": 4,
        "category=multi_turn mode=think_off switches=yes": 3,
        "category=multi_turn switches=no difficulty=8..10": 2,
        "category=multi_turn": 1,
    }
)


def test_what_differs_in_modes_alone_shares_a_pool() -> None:
    assert {str(pool): strata for pool, strata in CONVERSATIONS.pools.items()} == {
        "category=math mode=think_on": ("category=math mode=think_on",),
        "category=multi_turn": (
            "category=multi_turn mode=think_on switches=yes",
            "category=multi_turn mode=think_off switches=yes",
            "category=multi_turn",
        ),
        "category=multi_turn difficulty=8..10": ("category=multi_turn switches=no difficulty=8..10",),
    }


@pytest.mark.parametrize(
    ("labels", "may_switch", "pool"),
    [
        (Labels(category="math", mode="think_on"), False, "category=math mode=think_on"),
        (Labels(category="math", mode="think_off"), True, None),
        (Labels(category="multi_turn", mode="think_off"), True, "category=multi_turn"),
        (Labels(category="multi_turn", mode="think_off"), False, "category=multi_turn"),
    ],
)
def test_a_query_waits_where_it_may_come_to_count(labels: Labels, may_switch: bool, pool: str | None) -> None:
    assert CONVERSATIONS.pool(labels, may_switch=may_switch) == (parse_stratum(pool) if pool else None)


def test_one_turn_alone_waits_for_no_transition() -> None:
    asked = Mixture(targets={"switches=yes": 3, "switches=no": 3})
    assert asked.pool(Labels(category="math"), may_switch=False) is None
    assert asked.pool(Labels(category="math"), may_switch=True) == parse_stratum("any")
    assert asked.stratum(Labels(category="math", mode="think_on")) is None


def test_a_sample_counts_for_the_first_stratum_that_holds_it() -> None:
    switched = Labels(category="multi_turn", mode="think_on", switches="yes", difficulty=9)
    assert str(CONVERSATIONS.stratum(switched)) == "category=multi_turn mode=think_on switches=yes"


def test_a_recipe_holds_its_mixture_under_the_name_of_the_stage() -> None:
    select = Select.model_validate({"samples": 7, "shares": {"mode=on": 0.5, "mode=off": 0.5}})
    recipe = {"stages": ["normalise", {"tag": {}}, {Select.name: select.model_dump(mode="json")}]}
    assert Select.name == STAGE
    assert mixture_of(recipe) == select.mixture == Mixture(targets={"mode=think_on": 3, "mode=think_off": 4})
    assert mixture_of({"stages": ["normalise"]}) is mixture_of({}) is None


@pytest.mark.parametrize("options", [{}, {"samples": 3}, {"shares": {"any": 1}}, {"counts": ["any"]}, ["any"]])
def test_what_is_no_mixture_is_one_line(options: Any) -> None:
    with pytest.raises(ValueError, match=r"mixture|mapping") as caught:
        mixture_of({"stages": [{STAGE: options}]})
    assert "\n" not in str(caught.value)


def test_counts_need_no_shares() -> None:
    assert mixture(counts={"any": 3}, shares={}, samples=None).targets == {"any": 3}


def test_patience_ends_where_the_rate_is_lower_than_it_says() -> None:
    patient = Mixture(targets={"any": 3}, patience=10)
    assert [patient.gives_up(come, 0) for come in (0, 9, 10)] == [False, False, True]
    assert [patient.gives_up(come, 2) for come in (29, 30)] == [False, True]
    assert not Mixture(targets={"any": 3}).gives_up(10**9, 0)
