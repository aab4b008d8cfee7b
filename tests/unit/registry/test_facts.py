"""Only what a stage added becomes rows."""

from dataclasses import replace

from kat_data.domain.draft import Further
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin, Vote
from kat_data.registry.facts import new_facts, sample_rows
from kat_data.testing import a_candidate, a_draft, a_verdict

ITEM = (3, 4)
CALL = "ab" * 32
OFF = ModeChoice(mode=Mode.OFF, origin=ModeOrigin.ROUTE)
VOTE = Vote(model="one", mode=Mode.OFF, reason="It is short.", call=CALL)


def test_an_unchanged_draft_has_none() -> None:
    draft = a_draft(votes=(VOTE,), choice=OFF, candidates=(a_candidate(),), accepted=0)
    assert new_facts(ITEM, draft, draft) == {}


def test_later_votes_go_on_with_the_positions() -> None:
    before = a_draft(votes=(VOTE,))
    facts = new_facts(ITEM, before, replace(before, votes=(VOTE, replace(VOTE, model="two"))))
    assert list(facts) == ["votes"]
    [row] = facts["votes"]
    assert (row["run_id"], row["query_id"], row["turn"], row["position"]) == (3, 4, 0, 1)
    assert (row["model"], row["call"]) == ("two", "\\x" + CALL)


def test_a_late_verdict_is_a_row_and_its_candidate_none() -> None:
    before = a_draft(candidates=(a_candidate(verdicts=(a_verdict(),)),))
    late = a_candidate(verdicts=(a_verdict(), a_verdict(verifier="model-judge/1")))
    facts = new_facts(ITEM, before, replace(before, candidates=(late,)))
    assert list(facts) == ["verdicts"]
    assert [(row["number"], row["verifier"]) for row in facts["verdicts"]] == [(1, "model-judge/1")]


def test_a_further_answer_that_another_replaced_is_kept_no_more() -> None:
    candidates = tuple(a_candidate(position=position) for position in range(3))
    before = a_draft(candidates=candidates, accepted=0, further=(Further(position=1),))
    facts = new_facts(ITEM, before, replace(before, further=(Further(position=2),)))
    assert [(row["position"], row["kept"]) for row in facts["further"]] == [(2, True), (1, False)]


def test_an_accepted_draft_brings_one_sample_a_response() -> None:
    candidates = tuple(a_candidate(position=position) for position in range(2))
    draft = a_draft(
        choice=OFF,
        candidates=candidates,
        accepted=0,
        judge_analysis="Short.",
        further=(Further(position=1, judge_analysis="Short, too."),),
    )
    rows = sample_rows(ITEM, draft)
    assert [(row["number"], row["mode"]) for row in rows] == [(0, Mode.OFF), (1, Mode.OFF)]
    assert len({row["hash"] for row in rows}) == 2
