"""Deduplicate drops what another query stands for, and says which."""

import pytest
from pydantic import ValidationError

from kat_data.domain.category import Category
from kat_data.domain.drop import DropReason
from kat_data.domain.duplicate import NearDuplicate
from kat_data.domain.mode import Mode
from kat_data.stages.deduplicate import Deduplicate
from kat_data.testing import a_query

QUERY, KEPT, BETWEEN = a_query("What is 6 * 7?"), a_query("What is 6 * 7 then?"), a_query("And what is 6 * 7?")


async def test_a_duplicate_leaves_and_names_who_stays(tools, chosen):
    found = NearDuplicate(representative=KEPT.hash, nearest=KEPT.hash, similarity=0.875)
    dropped = await Deduplicate().run(chosen(Mode.OFF, QUERY), tools(near={QUERY.hash: found}))
    assert dropped.reason is DropReason.NEAR_DUPLICATE
    assert dropped.detail == f"of query {KEPT.hash.hex()[:12]}: similarity 0.88"


async def test_one_that_is_like_another_names_both(tools, chosen):
    found = NearDuplicate(representative=KEPT.hash, nearest=BETWEEN.hash, similarity=0.7)
    dropped = await Deduplicate().run(chosen(Mode.OFF, QUERY), tools(near={QUERY.hash: found}))
    kept, between = KEPT.hash.hex()[:12], BETWEEN.hash.hex()[:12]
    assert dropped.detail == f"of query {kept}, through {between}: similarity 0.70"


async def test_what_stands_for_itself_stays(tools, chosen):
    draft = chosen(Mode.OFF, QUERY)
    assert await Deduplicate().run(draft, tools()) == draft


def test_of_two_categories_the_stricter_one_counts():
    stage = Deduplicate.model_validate({"threshold": 0.8, "thresholds": {"math": 0.95, "general": 0.7}})
    assert stage.least(Category.MATH, Category.GENERAL) == 0.95
    assert stage.least(Category.GENERAL, Category.CODE) == 0.8
    assert not stage.as_stored
    assert Deduplicate(threshold=0.7).as_stored


@pytest.mark.parametrize("options", [{"threshold": 0.6}, {"thresholds": {"math": 0.5}}, {"scope": "source"}])
def test_less_than_what_pairs_are_looked_for_is_refused(options):
    with pytest.raises(ValidationError):
        Deduplicate.model_validate(options)
