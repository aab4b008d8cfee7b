import pytest

from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.domain.sample import Turn
from kat_data.domain.tool_call import ToolCall
from kat_data.stages.vote_mode import VoteMode
from kat_data.testing import a_draft, a_query

ON = {"reason": "Several steps.", "mode": "think_on"}
OFF = {"reason": "One fact.", "mode": "think_off"}


async def voted(tools, player, *votes, query=None, **options):
    voters = [player(vote=[vote]).model(f"voter-{i}") for i, vote in enumerate(votes)]
    return await VoteMode(**({"random_share": 0} | options)).run(a_draft(query), tools(voters=voters))


@pytest.mark.parametrize(
    ("votes", "mode", "margin"),
    [((ON, ON, OFF), Mode.ON, 1 / 3), ((OFF, OFF, OFF), Mode.OFF, 1.0), ((OFF,), Mode.OFF, 1.0)],
)
async def test_the_majority_decides_and_its_margin_is_kept(tools, player, votes, mode, margin):
    draft = await voted(tools, player, *votes)
    assert draft.choice == ModeChoice(mode=mode, origin=ModeOrigin.MAJORITY, margin=pytest.approx(margin))
    assert [vote.mode.value for vote in draft.votes] == [vote["mode"] for vote in votes]
    assert draft.votes[0].reason == votes[0]["reason"]


@pytest.mark.parametrize("on_tie", list(Mode))
async def test_a_tie_is_decided_by_the_recipe(tools, player, on_tie):
    draft = await voted(tools, player, ON, OFF, on_tie=on_tie)
    assert draft.choice == ModeChoice(mode=on_tie, origin=ModeOrigin.MAJORITY, margin=0.0)


async def test_a_voter_that_fails_is_left_out(tools, player, cut):
    draft = await voted(tools, player, cut, OFF, ON, OFF)
    assert [vote.model for vote in draft.votes] == ["voter-1", "voter-2", "voter-3"]
    assert draft.choice.mode is Mode.OFF


async def test_without_any_usable_vote_the_query_is_dropped(tools, player, cut):
    assert await voted(tools, player, cut, cut) == Dropped(reason=DropReason.NO_VOTE)


async def test_a_model_listed_twice_draws_two_votes(tools, player):
    script = player(vote=[ON, OFF])
    draft = await VoteMode(random_share=0).run(a_draft(), tools(voters=[script.model(), script.model()]))
    assert [request.sample for _, request in script.requests] == [0, 1]
    assert len({vote.call for vote in draft.votes}) == 2


async def test_the_users_directive_wins_and_costs_no_call(tools):
    draft = await VoteMode(random_share=1).run(a_draft(a_query("What is 6 * 7? /no_think")), tools())
    assert draft.choice == ModeChoice(mode=Mode.OFF, origin=ModeOrigin.DIRECTIVE)
    assert draft.votes == ()


async def test_random_modes_are_drawn_for_about_their_share_of_turns_and_cost_no_call(tools, player):
    drafts = []
    for number in range(400):
        query = a_query(f"What is {number} * 7?")
        drafts.append(await voted(tools, player, OFF, query=query, random_share=0.2))
    drawn = [draft for draft in drafts if draft.choice.origin is ModeOrigin.RANDOM]
    assert 50 < len(drawn) < 110
    assert all(draft.votes == () and draft.choice.margin is None for draft in drawn)
    assert 0.3 < sum(draft.choice.mode is Mode.ON for draft in drawn) / len(drawn) < 0.7


async def test_a_random_mode_depends_on_seed_query_and_turn_alone(tools):
    stage = VoteMode(random_share=1)
    query = a_query("One?", "Yes.", "Two?", reference=None)
    turn = Turn(user="One?", judge_analysis="-", mode=Mode.OFF, thinking="", answer="Yes.")
    drafts = [a_draft(query), a_draft(query, turns=(turn,))]
    modes = [[(await stage.run(draft, tools(seed=seed))).choice.mode for draft in drafts] for seed in range(40)]
    again = [[(await stage.run(draft, tools(seed=seed))).choice.mode for draft in drafts] for seed in range(40)]
    assert modes == again
    assert len({tuple(pair) for pair in modes}) == 4


async def test_voters_see_the_finished_turns(tools, player):
    script = player(vote=[ON])
    query = a_query("One?", "source's own", "Two?", system="Be kind.", reference=None)
    turn = Turn(user="One?", judge_analysis="JUDGE", mode=Mode.ON, thinking="THOUGHT", answer="Answer one.")
    await VoteMode(random_share=0).run(a_draft(query, turns=(turn,)), tools(voters=script.model()))
    [text] = script.sent("vote")
    assert [text.index(part) for part in ("Be kind.", "One?", "Answer one.", "Two?")] == sorted(
        text.index(part) for part in ("Be kind.", "One?", "Answer one.", "Two?")
    )
    assert "source's own" not in text
    assert "THOUGHT" not in text


def test_a_turn_that_has_its_mode_is_not_voted_on(chosen):
    assert VoteMode().applies(a_draft())
    assert not VoteMode().applies(chosen(Mode.ON))


async def test_a_step_is_voted_on_as_one_with_its_results_in_sight(tools, player):
    call = ToolCall(name="look", arguments={"order": "#7"})
    turn = Turn(
        user="Where is it?",
        judge_analysis="So.",
        mode=Mode.ON,
        thinking="Hm.",
        answer="I look.",
        tool_calls=(call,),
        results=("sent",),
    )
    play = player(vote=[OFF])
    draft = await VoteMode(random_share=0).run(a_draft(turns=(turn,)), tools(voters=play.model()))
    assert draft.choice.mode is Mode.OFF
    [sent] = play.sent("vote")
    assert sent.endswith("Last results:\nResult of look:\nsent")
    assert '[assistant] I look.\nCalls:\nlook({"order":"#7"})' in sent
    assert "Hm." not in sent


async def test_a_wish_of_the_user_holds_for_every_step_towards_its_answer(tools):
    query = a_query("Where is it? /no_think")
    turn = Turn(
        user=query.user_turns[0], judge_analysis="", mode=Mode.OFF, thinking="", answer="I look.", results=("sent",)
    )
    draft = await VoteMode().run(a_draft(query, turns=(turn,)), tools())
    assert draft.choice == ModeChoice(mode=Mode.OFF, origin=ModeOrigin.DIRECTIVE)
