import pytest

from kat_data.domain.draft import Further
from kat_data.domain.drop import DropReason
from kat_data.domain.mode import Mode
from kat_data.stages.judge_mode import JudgeMode, finish_sentence
from kat_data.testing import a_candidate

GOOD = "One product has to be recalled. Nothing has to be worked out."
AGAINST = "This needs careful reasoning in several steps."


def accepted(chosen, mode=Mode.OFF, answer="42"):
    thinking = "Six sevens." if mode is Mode.ON else ""
    return chosen(mode, candidates=(a_candidate("41"), a_candidate(answer, position=1, thinking=thinking)), accepted=1)


async def judged(tools, draft, *scripts, **options):
    judges = [script.model(f"j{i}") for i, script in enumerate(scripts)]
    return await JudgeMode(**options).run(draft, tools(judge=judges))


def says(player, *analyses):
    return player(judge=[each if not isinstance(each, str) else {"analysis": each} for each in analyses])


async def test_the_judge_sees_query_accepted_answer_and_mode(tools, player, chosen):
    script = says(player, f"  {GOOD}\n")
    draft = await judged(tools, accepted(chosen), script)
    [text] = script.sent("judge")
    assert draft.judge_analysis == GOOD
    assert [part in text for part in ("What is 6 * 7?", "42", "Mode: think_off", "41")] == [True, True, True, False]


async def test_a_long_answer_is_shown_in_part(tools, player, chosen):
    script = says(player, GOOD)
    await judged(tools, accepted(chosen, answer="x" * 50), script, answer_chars=10)
    assert "Response:\nxxxxxxxxxx …\n" in script.sent("judge")[0]


@pytest.mark.parametrize("bad", [AGAINST, "The answer stands in <answer>.", " ", None])
async def test_an_unusable_analysis_sends_the_next_judge(tools, player, chosen, cut, bad):
    first, second = says(player, cut if bad is None else bad), says(player, GOOD)
    draft = await judged(tools, accepted(chosen), first, second)
    assert draft.judge_analysis == GOOD


async def test_each_judge_draws_anew_in_the_next_round(tools, player, chosen):
    script = says(player, AGAINST, GOOD)
    draft = await judged(tools, accepted(chosen), script)
    assert draft.judge_analysis == GOOD
    assert [request.sample for _, request in script.requests] == [0, 1]


async def test_with_no_usable_analysis_the_query_is_dropped_and_says_why(tools, player, chosen):
    draft = accepted(chosen)
    dropped = await judged(tools, draft, says(player, AGAINST), says(player, ""), draws=1)
    assert dropped.reason is DropReason.NO_JUDGE_ANALYSIS
    assert dropped.detail == "j0: argues against think_off; j1: no analysis"


@pytest.mark.parametrize(("mode", "kept"), [(Mode.ON, True), (Mode.OFF, False)])
async def test_what_contradicts_depends_on_the_mode(tools, player, chosen, mode, kept):
    result = await judged(tools, accepted(chosen, mode), says(player, AGAINST), draws=1)
    assert (getattr(result, "judge_analysis", None) == AGAINST) is kept


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("One fact. It is well kn", "One fact."),
        ("一步减法。直接回", "一步减法。"),
        ("About 3.5 steps", "About 3.5 steps"),
        ("Two! Three?", "Two! Three?"),
        ("", ""),
    ],
)
def test_a_cut_sentence_is_left_out(text, finished):
    assert finish_sentence(text) == finished


def test_it_follows_acceptance_once(chosen):
    assert JudgeMode().applies(accepted(chosen))
    assert not JudgeMode().applies(chosen(Mode.OFF))
    assert not JudgeMode().applies(chosen(Mode.OFF, accepted=1, judge_analysis=GOOD))


async def test_every_further_sample_has_an_analysis_of_its_own(tools, player, chosen):
    candidates = tuple(a_candidate(text, position=n) for n, text in enumerate(("41", "42", "43")))
    draft = chosen(
        Mode.OFF, responses=3, candidates=candidates, accepted=0, further=(Further(position=1), Further(position=2))
    )
    script = says(player, GOOD, AGAINST, "It is short.")
    judged_draft = await judged(tools, draft, script, draws=1)
    assert judged_draft.judge_analysis == GOOD
    assert judged_draft.further == (Further(position=2, judge_analysis="It is short."),)
    finished = judged_draft.finished()
    assert [one.sample().turns[-1].answer for one in finished] == ["41", "43"]
    assert len({one.lineage for one in finished}) == 2
