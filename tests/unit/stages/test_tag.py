import pytest
from pydantic import ValidationError

from kat_data.domain.category import Category
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.tag import TagSummary
from kat_data.errors import EndpointRefused, RecipeError
from kat_data.pipeline.recipe import load_recipe
from kat_data.stages.tag import TagQuery, nearest_domain
from kat_data.stages.taxonomy import Taxonomy, shipped_taxonomy
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
    assert "- law\n- medicine\n- other: none of these\n" in text
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
        ("medicine", "medicine and health"),
        ("mathematics > geometry", "geometry"),
        ("mathematics / Number theroy", "number theory"),
        ("mathematics", "mathematics"),
        ("word of mouth", "other"),
        ("and", "other"),
        ("", "other"),
        ("量子", "other"),
    ],
)
def test_free_text_is_folded_onto_the_nearest_domain(text, domain):
    assert nearest_domain(text, shipped_taxonomy().names()) == domain


async def asked(tools, player, draft, **options):
    """The one request that the stage sends."""
    script = player(tag=[label(3)])
    await TagQuery(**options).run(draft, tools(taggers=script.model()))
    [(_, request)] = script.requests
    return request


async def test_the_schema_names_the_domains_and_the_prompt_describes_them(tools, player):
    request = await asked(tools, player, a_draft())
    schema = request.schema["properties"]["domain"]
    assert schema == {"type": "string", "enum": list(shipped_taxonomy().names())}
    assert "\n  - number theory: divisibility, primes" in request.messages[0].content
    assert "labels" not in request.schema["properties"]


@pytest.mark.parametrize(("category", "seen", "unseen"), [
    (Category.MATH, "9 = olympiad level", "contests"),
    (Category.CODE, "9 = last tasks of programming contests", "olympiad"),
])  # fmt: skip
async def test_difficulty_is_anchored_for_the_querys_category(tools, player, category, seen, unseen):
    text = (await asked(tools, player, a_draft(a_query(category=category)))).messages[0].content
    assert seen in text
    assert unseen not in text
    assert [line[:4] for line in text.splitlines() if line[1:4] == " = "] == [f"{n} = " for n in (1, 3, 5, 7, 9)]


async def test_the_plain_prompt_asks_as_the_demo_was_recorded(tools, player):
    stage = next(stage for stage in load_recipe("demo").stages if stage.name == "tag")
    request = await asked(tools, player, a_draft(), **stage.model_dump())
    assert request.schema["properties"]["domain"] == {"type": "string", "maxLength": 40}
    assert "domain, one of: arithmetic, algebra, geometry," in request.messages[0].content
    assert "everyday life, tool use, other.\n" in request.messages[0].content


async def test_further_labels_are_asked_for_folded_and_summed_up_by_majority(tools, player):
    said = [{"language": "english", "task": "prof"}, {"language": "Chinese"}, {"language": "klingon", "task": "proof"}]
    draft = await tagged(tools, player, *(label(3) | {"labels": each} for each in said), labels=("language", "task"))
    assert [tag.labels for tag in draft.tags] == [
        {"language": "English", "task": "proof"},
        {"language": "Chinese"},
        {"task": "proof"},
    ]
    assert draft.summary.labels == {"language": "English", "task": "proof"}


async def test_labels_stand_in_prompt_and_schema(tools, player):
    script = player(tag=[label(3) | {"labels": {"language": "English"}}])
    await TagQuery(labels=("language",)).run(a_draft(), tools(taggers=script.model()))
    [(_, request)] = script.requests
    assert request.schema["properties"]["labels"]["properties"] == {
        "language": {"type": "string", "enum": ["English", "Chinese", "other"]}
    }
    assert "- language, in which language the user writes: English, Chinese, other" in request.messages[0].content


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"labels": ["mood"]}, "the taxonomy has no label `mood` (it has: language, task, constraints)"),
        ({"labels": ["task"], "prompt": "tag.v1"}, "labels need the prompt tag.v2"),
        ({"prompt": "tag.v3"}, "Input should be 'tag.v1' or 'tag.v2'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, problem):
    with pytest.raises(ValidationError) as caught:
        TagQuery(**options)
    assert problem in str(caught.value)


async def test_of_equally_frequent_domains_one_at_home_in_the_category_wins(tools, player):
    names = ("algebra", "physics")
    maths = await tagged(tools, player, *(label(3, name) for name in names), query=a_query(category=Category.MATH))
    science = await tagged(tools, player, *(label(3, name) for name in names), query=a_query(category=Category.SCIENCE))
    assert (maths.summary.domain, science.summary.domain) == ("algebra", "physics")


async def test_a_users_taxonomy_adds_domains_that_taggers_can_choose(tools, player):
    own = {"domains": {"mathematics": {"subjects": {"knot theory": {"about": "knots and links"}}}}}
    draft = await tagged(tools, player, label(7, "knot theory"), taxonomy=own)
    assert draft.summary.domain == "knot theory"
    text = (await asked(tools, player, a_draft(), taxonomy=own)).messages[0].content
    assert "\n  - knot theory: knots and links\n- logic and puzzles" in text


def test_what_decides_tags_is_named_by_its_content():
    own = Taxonomy.model_validate({"domains": {"law": {"about": "a"}, "art": {"about": "b"}}})
    turned = Taxonomy.model_validate({"domains": {"art": {"about": "b"}, "law": {"about": "a"}}})
    alone = own.model_copy(update={"alone": True})
    assert list(TagQuery().files()) == ["taxonomy.v1.yaml"]
    assert list(TagQuery(taxonomy=own).files()) == ["taxonomy.v1.yaml", "taxonomy"]
    assert list(TagQuery(taxonomy=alone).files()) == ["taxonomy"]
    assert TagQuery(taxonomy=own).files() != TagQuery(taxonomy=turned).files()
    assert TagQuery(prompt="tag.v1", domains=("law",)).files() == {}
