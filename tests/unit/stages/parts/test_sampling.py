import pytest

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.verdict import Outcome, Status
from kat_data.errors import RecipeError
from kat_data.stages.sample_off import SampleOff
from kat_data.stages.sample_on import SampleOn
from kat_data.testing import a_candidate, a_query, a_reply

CORRECT, INCORRECT = Outcome.CORRECT, Outcome.INCORRECT
CHAT = a_query("Thank my neighbour.", reference=None, category=Category.GENERAL)


def opinion(good, score=3):
    return {"reason": "-", "score": score, "good": good}


async def sampled(draft, tools, stage=SampleOff, **options):
    return (await stage(**options).run(draft, tools)).candidates


async def test_drawing_ends_at_the_first_correct_answer_and_keeps_all(tools, player, chosen):
    script = player(chat=["41", "42", "43"])
    verdicts = {"41": INCORRECT, "42": CORRECT}
    candidates = await sampled(chosen(Mode.OFF), tools(verdicts, responder=script.model()))
    assert [(c.position, c.answer, c.outcome) for c in candidates] == [(0, "41", INCORRECT), (1, "42", CORRECT)]
    assert [request.sample for _, request in script.requests] == [0, 1]


async def test_no_more_than_k_are_drawn(tools, player, chosen):
    script = player(chat=["1", "2", "3", "4"])
    verdicts = dict.fromkeys("1234", INCORRECT)
    candidates = await sampled(chosen(Mode.OFF), tools(verdicts, responder=script.model()), k=3)
    assert [c.answer for c in candidates] == ["1", "2", "3"]


async def test_draws_side_by_side_stay_in_order(tools, player, chosen):
    script = player(chat=["1", "2", "3", "4", "5"])
    verdicts = {"1": INCORRECT, "2": INCORRECT, "3": CORRECT, "4": INCORRECT}
    tools = tools(verdicts, responder=script.model())
    candidates = await sampled(chosen(Mode.OFF), tools, k=5, concurrent=2)
    assert [(c.position, c.answer) for c in candidates] == [(0, "1"), (1, "2"), (2, "3"), (3, "4")]


async def test_several_writers_take_turns_each_from_its_first_draw(tools, player, chosen):
    first, second = player(chat=["1", "3"]), player(chat=["2"])
    tools = tools(dict.fromkeys("123", INCORRECT), responder=[first.model("a"), second.model("b")])
    candidates = await sampled(chosen(Mode.OFF), tools, k=3)
    assert [(c.model, c.answer) for c in candidates] == [("a", "1"), ("b", "2"), ("a", "3")]
    assert [request.sample for _, request in (*first.requests, *second.requests)] == [0, 1, 0]


async def test_an_unreadable_reply_is_kept_unjudged(tools, player, chosen, cut):
    script = player(chat=[cut, "42"])
    candidates = await sampled(chosen(Mode.OFF), tools({"42": CORRECT}, responder=script.model()))
    assert [(c.fault, c.verdicts == ()) for c in candidates] == [("reply_cut", True), (None, False)]


async def test_without_a_verifier_at_hand_one_draw_is_enough(tools, player, chosen):
    script = player(chat=["42", "43"])
    [candidate] = await sampled(chosen(Mode.OFF), tools({"42": None}, responder=script.model()))
    [verdict] = candidate.verdicts
    assert (verdict.outcome, verdict.status, verdict.verifier) == (Outcome.UNDECIDED, Status.NOT_VERIFIED, "math")


async def test_a_correct_answer_that_the_template_cannot_hold_does_not_end_the_drawing(tools, player, chosen):
    script = player(chat=["<answer>42", "42"])
    tools = tools({"<answer>42": CORRECT, "42": CORRECT}, responder=script.model())
    assert [c.answer for c in await sampled(chosen(Mode.OFF), tools)] == ["<answer>42", "42"]


async def test_a_reasoners_thinking_is_kept(tools, player, chosen):
    script = player(chat=[a_reply("42", reasoning="Six sevens.")])
    tools = tools({"42": CORRECT}, reasoner=script.model(native_reasoning=True))
    [candidate] = await sampled(chosen(Mode.ON), tools, SampleOn)
    assert (candidate.mode, candidate.thinking, candidate.answer) == (Mode.ON, "Six sevens.", "42")


@pytest.mark.parametrize(
    ("votes", "agreement", "status"),
    [
        ((True, True, False), 0.5, Status.ENDORSED),
        ((False, False, True), 0.5, Status.OBJECTED),
        ((True, False), 0.5, Status.SPLIT_PANEL),
        ((True, True, False), 0.7, Status.SPLIT_PANEL),
        ((True, True, True), 0.7, Status.ENDORSED),
    ],
)
async def test_the_panel_decides_where_more_than_its_share_agrees(tools, player, chosen, votes, agreement, status):
    script = player(chat=["Thanks!"])
    panel = [player(panel=[opinion(vote)]).model(f"p{i}") for i, vote in enumerate(votes)]
    tools = tools(responder=script.model(), panel=panel)
    [candidate] = await sampled(chosen(Mode.OFF, CHAT), tools, k=1, agreement=agreement)
    [verdict] = candidate.verdicts
    assert (verdict.status, verdict.verifier, verdict.reward) == (status, "panel/1", None)
    assert [(v["model"], v["good"], v["score"]) for v in verdict.evidence["votes"]] == [
        (f"p{i}", vote, 3) for i, vote in enumerate(votes)
    ]


async def test_a_judging_model_that_fails_is_left_out_and_none_at_all_decides_nothing(tools, player, chosen, cut):
    script = player(chat=["Thanks!", "Thank you!"])
    panel = [player(panel=[cut, cut]).model("p0"), player(panel=[cut, opinion(True)]).model("p1")]
    tools = tools(responder=script.model(), panel=panel)
    first, second = await sampled(chosen(Mode.OFF, CHAT), tools)
    assert (first.verdicts[0].status, first.verdicts[0].evidence) == (Status.SPLIT_PANEL, {"votes": []})
    assert second.outcome is CORRECT


async def test_an_earlier_turn_is_judged_by_the_panel_although_the_query_has_a_verifier(tools, player, chosen):
    script = player(chat=["Yes."])
    panel = player(panel=[opinion(True)])
    draft = chosen(Mode.OFF, a_query("One?", "Sure.", "Two?"))
    [candidate] = await sampled(draft, tools(responder=script.model(), panel=panel.model()))
    assert candidate.verdicts[0].verifier == "panel/1"
    assert "Yes." in panel.sent("panel")[0]


async def test_a_missing_panel_is_the_recipes_fault(tools, player, chosen):
    with pytest.raises(RecipeError, match="'panel'"):
        await sampled(chosen(Mode.OFF, CHAT), tools(responder=player(chat=["Thanks!"]).model()))


async def test_writers_never_see_the_reference(tools, player, chosen):
    script = player(chat=["42"])
    query = a_query(reference="REFERENCE")
    await sampled(chosen(Mode.OFF, query), tools({"42": CORRECT}, responder=script.model()))
    assert "REFERENCE" not in str(script.requests)


@pytest.mark.parametrize(("stage", "mode", "other"), [(SampleOff, Mode.OFF, Mode.ON), (SampleOn, Mode.ON, Mode.OFF)])
def test_each_serves_one_mode_and_turns_without_candidates(chosen, stage, mode, other):
    assert stage().applies(chosen(mode))
    assert not stage().applies(chosen(other))
    assert not stage(only=(Category.CODE,)).applies(chosen(mode))
    drawn = chosen(mode, candidates=(a_candidate(mode=mode),))
    assert not stage().applies(drawn)


async def test_several_responses_are_drawn_until_as_many_texts_will_do(tools, player, chosen):
    script = player(chat=["41", "42", "42", "forty-two", "43"])
    verdicts = {"41": INCORRECT, "42": CORRECT, "forty-two": CORRECT}
    draft = chosen(Mode.OFF, responses=2)
    candidates = await sampled(draft, tools(verdicts, responder=script.model()), k=3)
    assert [c.answer for c in candidates] == ["41", "42", "42", "forty-two"]
    assert [request.sample for _, request in script.requests] == [0, 1, 2, 3]


async def test_each_response_has_its_own_k(tools, player, chosen):
    script = player(chat=["42", *"1234567"])
    verdicts = {"42": CORRECT} | dict.fromkeys("1234567", INCORRECT)
    candidates = await sampled(chosen(Mode.OFF, responses=3), tools(verdicts, responder=script.model()), k=2)
    assert len(candidates) == 6
