import pytest

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.verdict import Outcome, Status
from kat_data.stages.parts.chain import UNREADABLE, WRONG
from kat_data.stages.reason_on import ReasonOn
from kat_data.testing import a_candidate, a_draft, a_query

CORRECT, INCORRECT, UNDECIDED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNDECIDED
ESSAY = a_query("Why is the sky blue?", reference=None, category=Category.GENERAL)


def improved(answer, reflection="Let me check."):
    return f"### Reflection\n{reflection}\n\n### Answer\n{answer}"


def review(passed, *findings):
    return {"check": "I redid it.", "findings": list(findings), "passed": passed}


class Play:
    """One chain with a player for each role, and the candidate that came out."""

    def __init__(self, player, solver, thinker, critic):
        self.solver, self.thinker, self.critic = player(chat=solver), player(chat=thinker), player(critic=critic)

    async def run(self, tools, draft, verdicts=None, **options):
        tools = tools(
            {"40": INCORRECT} | (verdicts or {}),
            solver=self.solver.model("solver-model"),
            thinker=self.thinker.model("thinker-model"),
            critic=self.critic.model("critic-model"),
        )
        [candidate] = (await ReasonOn(**options).run(draft, tools)).candidates
        return candidate

    @property
    def keys(self):
        scripts = (self.solver, self.thinker, self.critic)
        return {request.key.hex() for script in scripts for _, request in script.requests}


async def test_a_verified_answer_that_the_critic_passes_is_written_as_one_mind(tools, player, chosen):
    play = Play(player, ["40"], [improved("42"), "Six sevens are 42."], [review(True)])
    candidate = await play.run(tools, chosen(Mode.ON), {"42": CORRECT})
    assert (candidate.mode, candidate.answer, candidate.thinking) == (Mode.ON, "42", "Six sevens are 42.")
    assert candidate.outcome is CORRECT
    assert [(r.role, r.model, r.text) for r in candidate.rounds] == [
        ("solver", "solver-model", "40"),
        ("thinker", "thinker-model", "Let me check.\n\n42"),
        ("critic", "critic-model", "I redid it."),
        ("writer", "thinker-model", "Six sevens are 42."),
    ]
    assert set(candidate.calls) == play.keys
    assert {r.call for r in candidate.rounds} == play.keys


async def test_a_wrong_answer_goes_another_round_without_a_word_of_the_reference(tools, player, chosen):
    play = Play(player, ["40"], [improved("41"), improved("42"), "Six sevens."], [review(True), review(True)])
    draft = chosen(Mode.ON, a_query(reference="REFERENCE"))
    candidate = await play.run(tools, draft, {"41": INCORRECT, "42": CORRECT})
    assert (candidate.answer, candidate.thinking) == ("42", "Six sevens.")
    first = candidate.rounds[2]
    assert (first.role, first.passed, first.findings) == ("critic", True, (WRONG,))
    assert WRONG in play.thinker.sent("chat")[1]
    for script in (play.solver, play.thinker, play.critic):
        assert "REFERENCE" not in str(script.requests)


async def test_an_unreadable_answer_is_asked_for_in_its_form(tools, player, chosen):
    play = Play(player, ["40"], [improved("many"), improved("42"), "Six sevens."], [review(True), review(True)])
    await play.run(tools, chosen(Mode.ON), {"many": UNDECIDED, "42": CORRECT})
    assert UNREADABLE in play.thinker.sent("chat")[1]


async def test_the_critics_findings_go_to_the_next_round_and_its_own_work_does_not(tools, player, chosen):
    play = Play(
        player,
        ["It scatters."],
        [improved("Blue scatters."), improved("Blue scatters most."), "Light scatters."],
        [review(False, "Say why blue."), review(True)],
    )
    candidate = await play.run(tools, chosen(Mode.ON, ESSAY))
    second = play.thinker.sent("chat")[1]
    assert "- Say why blue." in second
    assert "Blue scatters." in second
    assert "I redid it." not in second
    assert [verdict.verifier for verdict in candidate.verdicts] == ["critic/1"]
    assert (candidate.outcome, candidate.thinking) == (CORRECT, "Light scatters.")


async def test_an_answer_that_the_critic_never_passes_gets_no_thinking(tools, player, chosen):
    play = Play(player, ["1"], [improved("2"), improved("3")], [review(False, "No."), review(False, "Still no.")])
    candidate = await play.run(tools, chosen(Mode.ON, ESSAY), rounds=2)
    assert (candidate.answer, candidate.thinking, candidate.outcome) == ("3", "", INCORRECT)
    assert candidate.verdicts[0].evidence == {"findings": ["Still no."]}
    assert play.thinker.kinds == ["chat", "chat"]


async def test_the_verifier_outweighs_a_critic_that_never_passes(tools, player, chosen):
    play = Play(
        player, ["40"], [improved("42"), improved("43"), "Six sevens."], [review(False, "Hm."), review(False, "Hm.")]
    )
    candidate = await play.run(tools, chosen(Mode.ON), {"42": CORRECT, "43": INCORRECT}, rounds=2)
    assert (candidate.answer, candidate.thinking, candidate.outcome) == ("42", "Six sevens.", CORRECT)


async def test_a_failing_reply_after_acceptance_does_not_lose_the_answer(tools, player, chosen, cut):
    play = Play(player, ["40"], [improved("42"), cut, "Six sevens."], [review(False, "Hm.")])
    candidate = await play.run(tools, chosen(Mode.ON), {"42": CORRECT})
    assert (candidate.answer, candidate.thinking, candidate.fault) == ("42", "Six sevens.", None)
    assert set(candidate.calls) == play.keys


async def test_a_failing_reply_before_acceptance_is_a_fault_that_keeps_the_rounds(tools, player, chosen, cut):
    play = Play(player, ["40"], [cut], [])
    candidate = await play.run(tools, chosen(Mode.ON))
    assert (candidate.fault, candidate.verdicts) == ("reply_cut", ())
    assert [r.role for r in candidate.rounds] == ["solver"]
    assert set(candidate.calls) == play.keys


async def test_without_a_verifier_at_hand_the_chain_ends_after_its_first_round(tools, player, chosen):
    play = Play(player, ["40"], [improved("42")], [review(False, "Hm.")])
    candidate = await play.run(tools, chosen(Mode.ON), {"42": None})
    assert (candidate.verdicts[0].status, candidate.thinking) == (Status.NOT_VERIFIED, "")
    assert candidate.rounds[-1].findings == ("Hm.",)


async def test_thinking_that_speaks_of_several_minds_is_written_again(tools, player, chosen):
    thinker = [improved("42"), "The solver said 40.", "Six sevens."]
    play = Play(player, ["40"], thinker, [review(True)])
    candidate = await play.run(tools, chosen(Mode.ON), {"42": CORRECT})
    assert candidate.thinking == "Six sevens."
    assert [r.role for r in candidate.rounds][-2:] == ["writer", "writer"]


async def test_thinking_that_never_speaks_as_one_mind_is_a_fault(tools, player, chosen):
    thinker = [improved("42"), "The solver said 40.", "The critic objected."]
    play = Play(player, ["40"], thinker, [review(True)])
    candidate = await play.run(tools, chosen(Mode.ON), {"42": CORRECT})
    assert candidate.fault == "reply_malformed"
    assert set(candidate.calls) == play.keys


async def test_a_task_about_critics_may_have_thinking_about_critics(tools, player, chosen):
    query = a_query("What does a film critic do?", reference=None, category=Category.GENERAL)
    play = Play(player, ["1"], [improved("2"), "A critic watches films."], [review(True)])
    candidate = await play.run(tools, chosen(Mode.ON, query))
    assert candidate.thinking == "A critic watches films."


async def test_the_writer_gets_what_was_found_and_answered_in_order(tools, player, chosen):
    play = Play(player, ["40"], [improved("41"), improved("42"), "Six sevens."], [review(False, "Off."), review(True)])
    await play.run(tools, chosen(Mode.ON), {"41": INCORRECT, "42": CORRECT})
    text = play.thinker.sent("chat")[2]
    parts = ["- 40", "- Let me check.\n\n41", "- Off.", f"- {WRONG}", "Answer:\n42"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "I redid it." not in text


async def test_calls_of_tools_are_improved_by_schema(tools, player, chosen):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    call = {"name": "get_weather", "arguments": {"city": "Oslo"}}
    solver = player(calls=[{"explanation": "I look.", "calls": []}])
    thinker = player(
        calls=[{"thinking": "A call is missing.", "explanation": "I look it up.", "calls": [call]}],
        chat=["Oslo needs a look-up."],
    )
    critic = player(critic=[review(True)])
    tools = tools(
        {"I look.": INCORRECT, "I look it up.": CORRECT},
        solver=solver.model(),
        thinker=thinker.model(),
        critic=critic.model(),
    )
    [candidate] = (await ReasonOn().run(chosen(Mode.ON, a_query(tools=(tool,))), tools)).candidates
    assert [c.arguments for c in candidate.tool_calls] == [{"city": "Oslo"}]
    assert (candidate.answer, candidate.thinking) == ("I look it up.", "Oslo needs a look-up.")
    assert 'get_weather({"city":"Oslo"})' in critic.sent("critic")[0]


async def test_of_several_solvers_each_turn_gets_one_by_the_seed(tools, player, chosen):
    picked = set()
    for number in range(12):
        solvers = [player(chat=["40"]), player(chat=["40"])]
        thinker, critic = player(chat=[improved("42"), "Six sevens."]), player(critic=[review(True)])
        given = tools(
            {"40": INCORRECT, "42": CORRECT},
            solver=[solver.model(f"s{i}") for i, solver in enumerate(solvers)],
            thinker=thinker.model(),
            critic=critic.model(),
        )
        [candidate] = (await ReasonOn().run(chosen(Mode.ON, a_query(f"{number} * 7?")), given)).candidates
        picked.add(candidate.rounds[0].model)
    assert picked == {"s0", "s1"}


@pytest.mark.parametrize("fields", [{"mode": Mode.OFF}, {"mode": Mode.ON, "candidates": (a_candidate("42"),)}])
def test_it_serves_think_on_turns_without_candidates(chosen, fields):
    assert ReasonOn().applies(chosen(Mode.ON))
    assert not ReasonOn().applies(chosen(**fields))
    assert not ReasonOn().applies(a_draft())


async def test_a_solver_that_was_right_is_not_lost_to_a_thinker_that_is_wrong(tools, player, chosen):
    play = Play(player, ["42"], [improved("41"), "Six sevens."], [review(True)])
    candidate = await play.run(tools, chosen(Mode.ON), {"41": INCORRECT, "42": CORRECT})
    assert (candidate.answer, candidate.thinking, candidate.outcome) == ("42", "Six sevens.", CORRECT)
    assert "41" not in play.thinker.sent("chat")[-1]


@pytest.mark.parametrize("flawed", ["I'm sorry, but I can't assist with that.", "抱歉，我无法回答。", "It is 42."])
async def test_thinking_that_refuses_or_leaves_out_the_notes_is_drawn_again(flawed, tools, player, chosen):
    long_answer = "Six times seven is what is asked. " * 10 + "42"
    whole = "I go through the sevens one by one. " * 8
    play = Play(player, [long_answer], [improved("41"), flawed, whole], [review(True)])
    candidate = await play.run(tools, chosen(Mode.ON), {"41": INCORRECT, long_answer: CORRECT})
    assert candidate.thinking == whole.strip()


async def test_thinking_that_stays_flawed_is_no_sample(tools, player, chosen):
    play = Play(player, ["42"], [improved("41"), "Sorry, no.", "Sorry, no."], [review(True)])
    candidate = await play.run(tools, chosen(Mode.ON), {"41": INCORRECT, "42": CORRECT})
    assert candidate.fault == "reply_malformed"
