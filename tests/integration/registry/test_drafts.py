"""What stages add to a draft becomes rows, and the rows become an equal draft again."""

from dataclasses import replace
from itertools import pairwise

import pytest

from kat_data.clock import SystemClock
from kat_data.domain.candidate import Round
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft, Further
from kat_data.domain.intent import Intent, Place
from kat_data.domain.measurement import ModeMeasurement, Trials
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin, Vote
from kat_data.domain.pass_rate import PassRate, Rollout, RolloutMode
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.score import Score
from kat_data.domain.soft_label import LabelAnswer, SoftLabel
from kat_data.domain.tag import Tag, TagSummary
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.registry.drafts import load_drafts
from kat_data.registry.facts import new_facts
from kat_data.registry.session import Registry
from kat_data.registry.worker import Attempt, Move, Step, Worker
from kat_data.testing import a_candidate, a_query, a_verdict

pytestmark = pytest.mark.integration

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {}}}}}


def call(number: int) -> str:
    return f"{number:02x}" * 32


def tags(*difficulties: int) -> tuple[Tag, ...]:
    return tuple(
        Tag(model=f"model {i}", difficulty=d, domain="arithmetic", verifiable=i % 2 == 0, call=call(i))
        for i, d in enumerate(difficulties)
    )


def votes(*modes: Mode) -> tuple[Vote, ...]:
    return tuple(
        Vote(model=f"model {i}", mode=mode, reason=f'理由 {i} \\ "quoted"\n', call=call(16 + i))
        for i, mode in enumerate(modes)
    )


def single_turn() -> list[Draft]:
    """Every step of a whole single turn: tags, votes, candidates with faults, late verdicts, acceptance, judge."""
    query = a_query("What is 6 * 7?", system="Be brief.")
    blank = Draft(query=query)
    tagged = replace(
        blank,
        tags=tags(3, 4, 9),
        summary=TagSummary(difficulty=4.0, spread=6, domain="arithmetic", verifiable=True),
    )
    chosen = replace(
        tagged,
        votes=votes(Mode.ON, Mode.OFF, Mode.ON),
        choice=ModeChoice(mode=Mode.ON, origin=ModeOrigin.MAJORITY, margin=1 / 3),
    )
    evidence = {"extracted": ["42"], "layers": {"exact": True, "score": 0.1}, "empty": None}
    known = a_candidate(
        "41", thinking="Let me see.", verdicts=(a_verdict(Outcome.INCORRECT),), calls=(call(1), call(2))
    )
    fault = a_candidate("", position=1, mode=Mode.ON, fault="reply_cut", calls=(call(3),))
    unjudged = a_candidate(r"\boxed{42}", thinking="6 * 7 = 42", position=2, calls=())
    sampled = replace(chosen, candidates=(known, fault, unjudged))
    undecided = Verdict(outcome=Outcome.UNDECIDED, status=Status.UNPARSABLE, verifier="math")
    correct = Verdict(outcome=Outcome.CORRECT, status=Status.CORRECT, verifier="compare/1", evidence=evidence)
    verified = replace(sampled, candidates=(known, fault, replace(unjudged, verdicts=(undecided, correct))), accepted=2)
    return [blank, tagged, chosen, sampled, verified, replace(verified, judge_analysis="Needs a product.")]


def rounds_and_tool_calls() -> list[Draft]:
    """A routed mode without votes, multi-agent rounds, tool calls with values of every JSON type."""
    query = a_query(
        "Add 1.5 and 2.",
        reference=None,
        category=Category.TOOL_USE,
        tools=(TOOL,),
        verifier=VerifierSpec(kind=VerifierKind.TOOL_CALL, options={"possible": [{"add": {"a": [1.5], "b": [2]}}]}),
    )
    blank = Draft(query=query)
    chosen = replace(blank, choice=ModeChoice(mode=Mode.OFF, origin=ModeOrigin.ROUTE))
    arguments = {"a": 1.5, "b": 2, "exact": True, "note": None, "nested": {"list": [1, "二", []]}, "whole": 2.0}
    rounds = (
        Round(role="solver", model="small", text="1.5 + 2 = 3.5", call=call(4)),
        Round(role="critic", model="large", text="", call=call(5), findings=("Say more.", "次"), passed=False),
        Round(role="critic", model="large", text="Good.", call=call(6), passed=True),
    )
    candidate = a_candidate(
        "I add them.",
        tool_calls=(ToolCall(name="add", arguments=arguments), ToolCall(name="add", arguments={})),
        rounds=rounds,
        calls=tuple(r.call for r in rounds),
        verdicts=(a_verdict(),),
    )
    return [blank, chosen, replace(chosen, candidates=(candidate,), accepted=0)]


def voted_without_a_choice() -> list[Draft]:
    blank = Draft(query=a_query("Undecided?"))
    return [blank, replace(blank, votes=votes(Mode.ON, Mode.OFF))]


def two_turns() -> list[Draft]:
    """A conversation: its first turn is finished with a random mode, its second stops at a rejected answer."""
    query = a_query("How much is 1 + 1?", "The source's own answer.", "And one more?", reference="3")
    tagged = replace(
        Draft(query=query), tags=tags(1), summary=TagSummary(difficulty=1.0, spread=0, domain="other", verifiable=False)
    )
    first = replace(
        tagged,
        choice=ModeChoice(mode=Mode.OFF, origin=ModeOrigin.RANDOM),
        candidates=(a_candidate("2", calls=(call(7),), verdicts=(a_verdict(verifier="panel/1"),)),),
        accepted=0,
        judge_analysis="Small.",
    )
    second = replace(
        first.finish_turn(),
        votes=votes(Mode.ON),
        choice=ModeChoice(mode=Mode.ON, origin=ModeOrigin.DIRECTIVE),
        candidates=(a_candidate("4", thinking="2 + 2", calls=(call(8),), verdicts=(a_verdict(Outcome.INCORRECT),)),),
    )
    return [Draft(query=query), tagged, first, first.finish_turn(), second]


def a_trajectory() -> list[Draft]:
    """A first turn whose call has a result, a second that answers it."""
    query = a_query("Add 1 and 2.", reference=None, category=Category.TOOL_USE, tools=(TOOL,))
    candidate = a_candidate(
        "I add.", tool_calls=(ToolCall(name="add", arguments={}),), calls=(call(4),), verdicts=(a_verdict(),)
    )
    accepted = replace(
        Draft(query=query),
        choice=ModeChoice(mode=Mode.OFF, origin=ModeOrigin.ROUTE),
        candidates=(candidate,),
        accepted=0,
        judge_analysis="So.",
    )
    observed = replace(accepted, results=('3 " 三\n',))
    second = replace(observed.finish_turn(), choice=ModeChoice(mode=Mode.ON, origin=ModeOrigin.ROUTE))
    return [Draft(query=query), accepted, observed, observed.finish_turn(), second]


def labelled_and_measured() -> list[Draft]:
    """Tags with further labels, a soft label that becomes the reference, a pass rate against it, a finished turn."""
    query = a_query("How many?", "Some.", "And how many more?", reference=None)
    tag = Tag(model="m", difficulty=3, domain="d", verifiable=True, call=call(1), labels={"task": "proof"})
    summary = TagSummary(difficulty=3.0, spread=0, domain="d", verifiable=True, labels={"task": "proof"})
    tagged = replace(Draft(query=query), tags=(tag,), summary=summary)
    answers = (
        LabelAnswer(model="one", answer="42", rank=0, call=call(2)),
        LabelAnswer(model="two", answer="", rank=None, call="", fault="reply_cut"),
    )
    spec = VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": ["42", "四十二"]})
    label = SoftLabel(reference="A", verifier=spec, confidence=0.5, weighted=2 / 3, answers=answers)
    labelled = tagged.labelled(label)
    rollouts = (
        Rollout(mode=Mode.ON, outcome=Outcome.CORRECT, status="endorsed", tokens=9, call=call(3), evidence={"a": [1]}),
        Rollout(mode=None, outcome=Outcome.UNDECIDED, status="reply_cut", tokens=0, call=""),
    )
    rate = PassRate(
        policy="p",
        revision="step-1",
        mode=RolloutMode.AUTO,
        prompted=True,
        temperature=0.7,
        top_p=0.95,
        max_tokens=64,
        soft=True,
        rollouts=rollouts,
    )
    measured = replace(labelled, pass_rate=rate)
    chosen = replace(
        measured,
        choice=ModeChoice(mode=Mode.OFF, origin=ModeOrigin.ROUTE),
        candidates=(a_candidate("2"),),
        accepted=0,
    )
    return [Draft(query=query), tagged, labelled, measured, chosen, chosen.finish_turn()]


def without_a_majority() -> list[Draft]:
    """A label that was drawn in vain leaves the query without a reference."""
    blank = Draft(query=a_query(reference=None))
    spec = VerifierSpec(kind=VerifierKind.MATH)
    return [blank, blank.labelled(SoftLabel(reference=None, verifier=spec, confidence=0.0, weighted=0.0, answers=()))]


def intent_measurement_and_scores() -> list[Draft]:
    """What only some recipes ask for: an added directive, both modes measured, answers scored."""
    blank = Draft(query=a_query("One?", "One.", "What is 6 * 7?", system="Be brief."))
    intent = Intent(turn=0, mode=Mode.OFF, place=Place.SYSTEM, text="不必思考。", wording="不用想。", call=call(9))
    wished = replace(blank, intent=intent)
    choice = ModeChoice(mode=Mode.OFF, origin=ModeOrigin.DIRECTIVE)
    first = replace(wished, choice=choice, candidates=(a_candidate("1", calls=(call(1),), tokens=7),), accepted=0)
    chosen = replace(first.finish_turn(), choice=ModeChoice(mode=Mode.ON, origin=ModeOrigin.MEASUREMENT))
    measured = replace(
        chosen,
        measurement=ModeMeasurement(
            chosen=Mode.OFF,
            chosen_by=ModeOrigin.ROUTE,
            off=Trials(n=4, correct=1, undecided=1, tokens=99),
            on=Trials(n=4, correct=4, undecided=0, tokens=4_000),
            preferred=Mode.ON,
        ),
    )
    scores = tuple(
        Score(candidate=i % 2, rewarder="judge", dimension="style", value=i / 4, reason=f"理由 {i}", call=call(40 + i))
        for i in range(4)
    )
    drawn = tuple(a_candidate("42", position=i, thinking="6 * 7", calls=(call(i),)) for i in range(3))
    sampled = replace(measured, candidates=drawn, accepted=0, further=(Further(position=1),))
    preferred = replace(sampled, scores=scores, accepted=1, further=(Further(position=0), Further(position=2)))
    return [
        blank,
        wished,
        first,
        first.finish_turn(),
        chosen,
        measured,
        sampled,
        preferred,
        replace(preferred, judge_analysis="So.", further=(Further(position=2, judge_analysis="So, too."),)),
    ]


HISTORIES = [
    single_turn,
    rounds_and_tool_calls,
    voted_without_a_choice,
    two_turns,
    a_trajectory,
    labelled_and_measured,
    without_a_majority,
    intent_measurement_and_scores,
]


async def stored(registry: Registry, run: int, query: int, turn: int) -> Draft:
    async with await registry.async_connection() as connection:
        return (await load_drafts(connection, run, [], {query: turn}))[query]


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.__name__)
async def test_every_step_of_a_draft_comes_back_equal(registry: Registry, open_run, history) -> None:
    drafts = history()
    run, clock = open_run(drafts[0].query), SystemClock()
    async with await Worker.start(registry, clock) as worker:
        [claim] = await worker.claim(run.id, 1, ["first"])
        assert claim.draft == drafts[0]
        for before, after in pairwise(drafts):
            attempt = Attempt(stage="first", started_at=clock.now(), seconds=0.0, outcome="done", calls=())
            move = Move(stage="first", turn=len(after.turns), keep=True)
            finishes = len(after.turns) > len(before.turns)
            facts = {} if finishes else new_facts((run.id, claim.query), before, after)
            await worker.commit(Step(claim=claim, attempt=attempt, move=move, facts=facts))
            found = await stored(registry, run.id, claim.query, len(after.turns))
            assert found == after
            assert found.lineage == after.lineage


async def test_a_finished_turn_keeps_its_lineage(registry: Registry, open_run) -> None:
    finished = single_turn()[-1].finish_turn()
    run, clock = open_run(finished.query), SystemClock()
    async with await Worker.start(registry, clock) as worker:
        [claim] = await worker.claim(run.id, 1, ["first"])
        facts = new_facts((run.id, claim.query), claim.draft, single_turn()[-1])
        attempt = Attempt(stage="first", started_at=clock.now(), seconds=0.0, outcome="done", calls=())
        await worker.commit(Step(claim=claim, attempt=attempt, move=Move(stage="first", turn=0), facts=facts))
    found = (await stored(registry, run.id, claim.query, 0)).finish_turn()
    assert found.lineage == finished.lineage
    assert found.sample() == finished.sample()


async def test_fresh_and_begun_items_load_together(registry: Registry, open_run) -> None:
    run = open_run(sums=3)
    with registry.connection(autocommit=True) as connection:
        ids = [row[0] for row in connection.execute("SELECT query_id FROM work_items ORDER BY query_id")]
    async with await registry.async_connection() as connection:
        drafts = await load_drafts(connection, run.id, ids[:2], {ids[2]: 0})
    assert list(drafts) == ids
    assert {draft.user_text for draft in drafts.values()} == {f"What is {n} + 1?" for n in range(3)}
