import pytest

from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.tag import TagSummary
from kat_data.errors import EndpointRefused, RecipeError
from kat_data.stages.tag import DOMAINS, TagQuery, nearest_domain
from kat_data.testing import a_draft, a_query


def label(difficulty, domain="algebra", verifiable=True):
    return {"steps": "solve", "difficulty": difficulty, "domain": domain, "verifiable": verifiable}


async def tagged(tools, player, *labels, query=None, **options):
    taggers = [player(tag=[each]).model(f"tagger-{i}") for i, each in enumerate(labels)]
    return await TagQuery(**options).run(a_draft(query), tools(taggers=taggers))


async def test_tags_are_kept_in_the_order_of_the_taggers_and_summed_up(tools, player):
    draft = await tagged(tools, player, label(3), label(8, "Geometry"), label(4, " GEOMETRY "))
    assert [(t.model, t.difficulty, t.domain) for t in draft.tags] == [
        ("tagger-0", 3, "algebra"),
        ("tagger-1", 8, "geometry"),
        ("tagger-2", 4, "geometry"),
    ]
    assert draft.summary == TagSummary(difficulty=4.0, spread=5, domain="geometry", verifiable=True)
    assert all(len(bytes.fromhex(tag.call)) == 32 for tag in draft.tags)


async def test_an_even_number_of_tags_has_its_median_between_two(tools, player):
    draft = await tagged(tools, player, label(3), label(4))
    assert draft.summary.difficulty == 3.5


@pytest.mark.parametrize("order", [("physics", "algebra"), ("algebra", "physics")])
async def test_of_equally_frequent_domains_the_first_of_the_recipe_wins(tools, player, order):
    draft = await tagged(tools, player, *(label(3, name) for name in order))
    assert draft.summary.domain == "algebra"


async def test_other_loses_every_tie(tools, player):
    draft = await tagged(tools, player, label(3, "zzz"), label(3, "law"), domains=("other", "law"))
    assert [t.domain for t in draft.tags] == ["other", "law"]
    assert draft.summary.domain == "law"


@pytest.mark.parametrize(("votes", "expected"), [((True, True, False), True), ((True, False), False)])
async def test_verifiable_is_the_strict_majority_where_no_verifier_is_at_hand(tools, player, votes, expected):
    query = a_query(reference=None)
    draft = await tagged(tools, player, *(label(3, verifiable=vote) for vote in votes), query=query)
    assert draft.summary.verifiable is expected


async def test_a_verifier_at_hand_settles_verifiability(tools, player):
    draft = await tagged(tools, player, label(3, verifiable=False))
    assert draft.summary.verifiable is True


async def test_a_tagger_that_fails_is_left_out(tools, player, cut):
    draft = await tagged(tools, player, cut, label(5))
    assert [tag.model for tag in draft.tags] == ["tagger-1"]


async def test_without_any_usable_tag_the_query_is_dropped(tools, player, cut):
    assert await tagged(tools, player, cut, cut) == Dropped(reason=DropReason.UNTAGGED)


async def test_a_refusing_endpoint_stops_the_run_instead_of_being_left_out(tools, player):
    with pytest.raises(EndpointRefused):
        await tagged(tools, player, label(3), EndpointRefused("no such model"))


async def test_a_role_without_models_is_the_recipes_fault(tools):
    with pytest.raises(RecipeError, match="'taggers'"):
        await TagQuery().run(a_draft(), tools())


async def test_taggers_see_every_turn_and_the_recipes_domains_and_never_the_reference(tools, player):
    script = player(tag=[label(3, "law")])
    query = a_query("First?", "Yes.", "Second?", reference="REFERENCE")
    await TagQuery(domains=("law", "medicine")).run(a_draft(query), tools(taggers=script.model()))
    [(_, request)] = script.requests
    text = "\n".join(message.content for message in request.messages)
    assert "First?" in text
    assert "Second?" in text
    assert "law, medicine" in text
    assert "algebra" not in text
    assert "REFERENCE" not in text


def test_a_tagged_draft_is_not_tagged_again():
    summary = TagSummary(difficulty=4.0, spread=0, domain="algebra", verifiable=True)
    assert TagQuery().applies(a_draft())
    assert not TagQuery().applies(a_draft(summary=summary))


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Number  Theory", "number theory"),
        ("algorithm", "algorithms"),
        ("probability", "probability and statistics"),
        ("medicine", "biology and medicine"),
        ("word of mouth", "other"),
        ("and", "other"),
        ("", "other"),
        ("量子", "other"),
    ],
)
def test_free_text_is_folded_onto_the_nearest_domain(text, domain):
    assert nearest_domain(text, DOMAINS) == domain
