from collections import Counter
from importlib.resources import files

import pytest

from kat_data.domain.category import Category
from kat_data.domain.directive import directive
from kat_data.domain.intent import Place
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.hashing import sha256
from kat_data.stages.add_intent import AddIntent
from kat_data.stages.route_mode import RouteMode
from kat_data.stages.vote_mode import VoteMode
from kat_data.testing import a_draft, a_query

SUMS = [a_query(f"What is {n} + 7?") for n in range(300)]
CHINESE = [a_query(f"小明有{n}个苹果，吃了5个，还剩几个？") for n in range(100)]


async def augmented(tools, queries, **options):
    stage = AddIntent(**({"share": 1} | options))
    return [await stage.run(a_draft(query), tools()) for query in queries]


async def test_a_share_of_queries_gets_one_balanced_varied_and_everywhere(tools):
    drafts = await augmented(tools, SUMS, share=0.5)
    intents = [draft.intent for draft in drafts if draft.intent]
    assert 120 < len(intents) < 180
    modes = Counter(intent.mode for intent in intents)
    assert 0.4 < modes[Mode.ON] / len(intents) < 0.6
    assert {intent.place for intent in intents} == set(Place)
    assert len({intent.text for intent in intents}) > 60
    assert drafts == await augmented(tools, SUMS, share=0.5)


async def test_whoever_reads_the_turn_understands_it_and_the_mode_obeys(tools):
    for draft in await augmented(tools, SUMS[:60] + CHINESE[:60]):
        said = draft.system if draft.intent.place is Place.SYSTEM else draft.user_text
        assert directive(said) is draft.intent.mode is draft.wish
        for stage in (VoteMode(), RouteMode()):
            chosen = await stage.run(draft, tools())
            assert chosen.choice == ModeChoice(mode=draft.intent.mode, origin=ModeOrigin.DIRECTIVE)


async def test_the_query_stays_as_it_is(tools):
    for query, draft in zip(SUMS[:50], await augmented(tools, SUMS[:50]), strict=True):
        assert draft.query is query
        assert draft.intent is not None


async def test_the_language_is_the_querys(tools):
    chinese = [draft.intent.text for draft in await augmented(tools, CHINESE)]
    assert sum(not text.isascii() for text in chinese) > 90  # the rest are switches such as /think
    english = [draft.intent.text for draft in await augmented(tools, SUMS[:100])]
    assert all(text.isascii() for text in english)


async def test_shares_can_be_given_by_category(tools):
    queries = [*SUMS[:50], *(a_query(f"Thank {n} people.", category=Category.GENERAL) for n in range(50))]
    drafts = await augmented(tools, queries, share=0, shares={"general": 1})
    assert [draft.intent is not None for draft in drafts] == [False] * 50 + [True] * 50
    assert AddIntent(share=0, shares={"general": 1}).applies(drafts[-1]) is False
    assert not AddIntent(share=0, shares={"general": 1}).applies(a_draft(SUMS[0]))
    assert AddIntent(share=0, shares={"general": 1}).applies(a_draft(queries[-1]))


@pytest.mark.parametrize(("on_share", "mode"), [(0, Mode.OFF), (1, Mode.ON)])
async def test_the_recipe_can_ask_for_one_mode_alone(tools, on_share, mode):
    assert {draft.intent.mode for draft in await augmented(tools, SUMS[:20], on_share=on_share)} == {mode}


async def test_a_user_who_says_so_already_is_left_alone(tools):
    [draft] = await augmented(tools, [a_query("Hi. /no_think", "Hi.", "What is 6 * 7?")])
    assert draft.intent is None


async def test_where_the_wish_cannot_be_understood_there_is_none(tools):
    [draft] = await augmented(tools, [a_query("What is wrong here?\n```\nprint(1")], places=["end", "line_below"])
    assert draft.intent is None
    [draft] = await augmented(tools, [a_query("What is wrong here?\n```\nprint(1")])
    assert draft.intent.place in {Place.FRONT, Place.LINE_ABOVE, Place.SYSTEM}


@pytest.mark.parametrize(("turn", "turns"), [("last", {1}), ("any", {0, 1})])
async def test_a_conversation_holds_it_in_its_last_message_or_in_any(tools, turn, turns):
    queries = [a_query(f"Is {n} odd?", "Yes.", f"And {n + 1}?") for n in range(40)]
    drafts = await augmented(tools, queries, turn=turn, places=["front"])
    assert {draft.intent.turn for draft in drafts} == turns
    first = {draft.intent.turn: draft for draft in drafts}[max(turns)]
    assert first.wish is None


async def paraphrased(tools, player, *texts, query=SUMS[0], **options):
    script = player(paraphrase=[{"text": text} for text in texts])
    stage = AddIntent(share=1, paraphrase=1, on_share=0, places=["end"], **options)
    return await stage.run(a_draft(query), tools(paraphraser=script.model())), script


async def test_a_paraphrase_takes_the_wordings_place(tools, player):
    draft, script = await paraphrased(tools, player, " Please don't think,\njust  answer. ")
    assert draft.intent.text == "Please don't think, just answer."
    assert draft.user_text.endswith(draft.intent.text)
    assert draft.intent.wording in script.sent("paraphrase")[0]
    assert len(draft.intent.call) == 64


@pytest.mark.parametrize(
    "text",
    ["", "Think hard.", "Be brief.", "No thinking! <think_off>", "Do not think. " + 20 * "It is easy enough. "],
)
async def test_a_paraphrase_that_says_something_else_is_not_taken(tools, player, text):
    draft, _ = await paraphrased(tools, player, text)
    assert draft.intent.text == draft.intent.wording
    assert draft.intent.call is None


async def test_without_a_usable_paraphrase_the_wording_stands(tools, player, cut):
    script = player(paraphrase=[cut])
    draft = await AddIntent(share=1, paraphrase=1).run(a_draft(SUMS[0]), tools(paraphraser=script.model()))
    assert draft.intent.text == draft.intent.wording


def test_only_a_recipe_that_wants_paraphrases_needs_the_role():
    assert AddIntent().needed_roles() == ()
    assert AddIntent(paraphrase=0.1).needed_roles() == ("paraphraser",)


def test_the_shipped_wordings_are_part_of_the_run():
    [(name, digest)] = AddIntent().files().items()
    shipped = files("kat_data.stages").joinpath("wordings", name)
    assert digest == sha256(shipped.read_bytes()).hex()
