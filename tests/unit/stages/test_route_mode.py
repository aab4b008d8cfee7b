import pytest

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.domain.tag import TagSummary
from kat_data.errors import RecipeError
from kat_data.stages.route_mode import RouteMode
from kat_data.testing import a_draft, a_query


def tagged(difficulty, verifiable, *texts):
    summary = TagSummary(difficulty=difficulty, spread=0, domain="algebra", verifiable=verifiable)
    return a_draft(a_query(*texts), summary=summary)


@pytest.mark.parametrize(
    ("difficulty", "verifiable", "mode"),
    [
        (3.5, True, Mode.OFF),
        (4.0, True, Mode.ON),
        (7.5, False, Mode.OFF),
        (8.0, False, Mode.ON),
    ],
)
async def test_the_thresholds_decide_inclusively(tools, difficulty, verifiable, mode):
    draft = await RouteMode().run(tagged(difficulty, verifiable), tools())
    assert draft.choice == ModeChoice(mode=mode, origin=ModeOrigin.ROUTE)


async def test_without_threshold_unverifiable_queries_never_think(tools):
    draft = await RouteMode(on_from_unverifiable=None).run(tagged(10.0, False), tools())
    assert draft.choice.mode is Mode.OFF


async def test_the_users_directive_wins(tools):
    draft = await RouteMode().run(tagged(1.0, True, "What is 6 * 7? Think step by step."), tools())
    assert draft.choice == ModeChoice(mode=Mode.ON, origin=ModeOrigin.DIRECTIVE)


async def test_a_draft_without_difficulty_is_the_recipes_fault(tools):
    with pytest.raises(RecipeError, match="put the stage tag before it"):
        await RouteMode().run(a_draft(), tools())


def test_it_stands_beside_vote_mode_for_other_categories(chosen):
    stage = RouteMode(only=(Category.MATH,))
    assert stage.applies(a_draft())
    assert not stage.applies(a_draft(a_query(category=Category.CODE)))
    assert not stage.applies(chosen(Mode.OFF))
