import pytest

from kat_data.domain.measurement import ModeMeasurement, Trials
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.domain.verdict import Outcome
from kat_data.llm.ledger import MemoryLedger
from kat_data.stages.measure_mode import MeasureMode
from kat_data.stages.sample_off import SampleOff
from kat_data.stages.sample_on import SampleOn
from kat_data.testing import a_draft, a_query, a_reply

VERDICTS = {"42": Outcome.CORRECT, "41": Outcome.INCORRECT, "?": Outcome.UNDECIDED}


def reply(answer, tokens, reasoning=""):
    return a_reply(answer, completion_tokens=tokens, reasoning=reasoning)


def thought(answer, tokens=100):
    return reply(answer, tokens, reasoning="Six sevens.")


def voted(mode=Mode.ON, origin=ModeOrigin.MAJORITY, query=None):
    return a_draft(query, choice=ModeChoice(mode=mode, origin=origin, margin=1.0))


@pytest.fixture
def cast(tools, player):
    """Tools whose responder and reasoner say what they are given, over one ledger."""

    def build(off, on, verdicts=VERDICTS):
        ledger = MemoryLedger()
        scripts = player(chat=list(off)), player(chat=list(on))
        responder = scripts[0].model("plain", ledger=ledger)
        reasoner = scripts[1].model("deep", ledger=ledger, native_reasoning=True)
        return tools(verdicts, responder=responder, reasoner=reasoner), scripts

    return build


async def test_both_modes_are_tried_and_counted_with_their_tokens(cast, cut):
    off = [reply("42", 5), reply("41", 6), reply("?", 7), cut]
    given, _ = cast(off, [thought("42", n) for n in (50, 60, 70, 80)])
    draft = await MeasureMode(share=1).run(voted(), given)
    assert draft.measurement == ModeMeasurement(
        chosen=Mode.ON,
        chosen_by=ModeOrigin.MAJORITY,
        off=Trials(n=4, correct=1, undecided=2, tokens=5 + 6 + 7 + cut.usage.completion_tokens),
        on=Trials(n=4, correct=4, undecided=0, tokens=260),
        preferred=Mode.ON,
    )
    assert draft.choice == voted().choice


async def test_the_samplers_then_pay_for_nothing_that_was_measured(cast):
    given, scripts = cast(["41", "42"], [thought("41"), thought("42")])
    draft = await MeasureMode(share=1, k=2).run(voted(), given)
    assert draft.measurement.preferred is Mode.OFF
    paid = [len(script.requests) for script in scripts]
    for stage in (SampleOff(k=2), SampleOn(k=2)):
        sampled = await stage.run(draft, given)
        assert [candidate.answer for candidate in sampled.candidates] == ["41", "42"]
    assert [len(script.requests) for script in scripts] == paid == [2, 2]


@pytest.mark.parametrize(
    ("off", "on", "preferred"),
    [
        ("42", "42", Mode.OFF),
        ("41", "42", Mode.ON),
        ("41", "41", Mode.OFF),
        ("42", "41", Mode.OFF),
        ("?", "42", None),
        ("42", "?", None),
    ],
)
@pytest.mark.parametrize("decide", ["vote", "measurement"])
async def test_measurement_decides_where_the_recipe_lets_it_and_it_can_tell(cast, off, on, preferred, decide):
    given, _ = cast([off], [thought(on)])
    before = voted(Mode.OFF if preferred is Mode.ON else Mode.ON)
    draft = await MeasureMode(share=1, k=1, decide=decide).run(before, given)
    assert draft.measurement.preferred is preferred
    if decide == "vote" or preferred is None:
        assert draft.choice == before.choice
    else:
        assert draft.choice == ModeChoice(mode=preferred, origin=ModeOrigin.MEASUREMENT)
    assert (draft.measurement.chosen, draft.measurement.chosen_by) == (before.choice.mode, ModeOrigin.MAJORITY)


async def test_several_writers_take_turns_as_they_do_in_sampling(tools, player):
    first, second = player(chat=["41", "42"]), player(chat=["41"])
    thinker = player(chat=[thought("42") for _ in range(3)]).model("deep", native_reasoning=True)
    given = tools(VERDICTS, responder=[first.model("a"), second.model("b")], reasoner=thinker)
    await MeasureMode(share=1, k=3).run(voted(), given)
    assert [request.sample for _, request in (*first.requests, *second.requests)] == [0, 1, 0]


async def test_without_a_verifier_at_hand_one_answer_is_spent_and_nothing_claimed(cast):
    given, scripts = cast(["42"], [], verdicts={"42": None})
    before = voted()
    assert await MeasureMode(share=1).run(before, given) is before
    assert [len(script.requests) for script in scripts] == [1, 0]


async def test_about_the_given_share_of_turns_is_measured_the_same_ones_each_time(cast):
    async def measured():
        found = []
        for number in range(200):
            given, _ = cast(["42"], [thought("42")])
            draft = await MeasureMode(share=0.25, k=1).run(voted(query=a_query(f"{number} * 7?")), given)
            found.append(draft.measurement is not None)
        return found

    assert 30 < sum(await measured()) < 70
    assert await measured() == await measured()


def test_modes_that_a_user_or_chance_gave_are_left_alone_and_so_is_what_no_verifier_can_tell(chosen):
    stage = MeasureMode()
    assert stage.applies(voted())
    assert stage.applies(voted(origin=ModeOrigin.ROUTE))
    for origin in (ModeOrigin.DIRECTIVE, ModeOrigin.RANDOM, ModeOrigin.MEASUREMENT):
        assert not stage.applies(voted(origin=origin))
    assert not stage.applies(a_draft())
    assert not stage.applies(voted(query=a_query("Thank them.", reference=None)))
    assert not stage.applies(voted(query=a_query("One?", "One.", "Two?")))
