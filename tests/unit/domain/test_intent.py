import pytest

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft
from kat_data.domain.intent import Intent, Place
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.testing import a_candidate, a_draft, a_query


def intent(place: Place, text: str = "Do not think.", turn: int = 0) -> Intent:
    return Intent(turn=turn, mode=Mode.OFF, place=place, text=text, wording=text)


@pytest.mark.parametrize(
    ("place", "message", "held"),
    [
        (Place.FRONT, "What is 3 + 4?", "Do not think. What is 3 + 4?"),
        (Place.END, "What is 3 + 4?", "What is 3 + 4? Do not think."),
        (Place.END, "Compute 3 + 4", "Compute 3 + 4\n\nDo not think."),
        (Place.LINE_ABOVE, "What is 3 + 4?", "Do not think.\n\nWhat is 3 + 4?"),
        (Place.LINE_BELOW, "What is 3 + 4?", "What is 3 + 4?\n\nDo not think."),
        (Place.SYSTEM, "What is 3 + 4?", "What is 3 + 4?"),
    ],
)
def test_a_user_says_it_where_the_place_is(place, message, held):
    assert intent(place).in_user(message, 0) == held
    assert intent(place).in_user(message, 1) == message


@pytest.mark.parametrize(("place", "held"), [(Place.FRONT, "别思考。3+4=？"), (Place.END, "3+4=？别思考。")])
def test_chinese_sentences_follow_each_other_without_a_space(place, held):
    assert intent(place, "别思考。").in_user("3+4=？", 0) == held


@pytest.mark.parametrize(("system", "held"), [(None, "Do not think."), ("Be kind.", "Be kind.\n\nDo not think.")])
def test_an_operator_says_it_in_the_system_text(system, held):
    assert intent(Place.SYSTEM).in_system(system) == held
    assert intent(Place.FRONT).in_system(system) == system


def finished(draft: Draft, candidate: Candidate) -> Draft:
    choice = ModeChoice(mode=candidate.mode, origin=ModeOrigin.DIRECTIVE)
    return Draft(
        query=draft.query, intent=draft.intent, choice=choice, candidates=(candidate,), accepted=0, judge_analysis="-"
    ).finish_turn()


def test_models_and_samples_hold_it_and_the_query_does_not():
    query = a_query("One?", "One.", "What is 6 * 7?", system="Be kind.")
    draft = a_draft(query, intent=intent(Place.END, turn=1))
    assert (draft.wish, draft.user_text) == (None, "One?")
    draft = finished(draft, a_candidate("1"))
    assert draft.wish is Mode.OFF
    assert draft.conversation[-1].content == draft.user_text == "What is 6 * 7? Do not think."
    assert draft.query == query
    governed = finished(a_draft(a_query("What is 6 * 7?"), intent=intent(Place.SYSTEM)), a_candidate("42"))
    assert governed.sample().system == "Do not think."
    assert governed.sample().turns[0].user == "What is 6 * 7?"


def test_in_the_system_text_it_governs_every_turn():
    draft = a_draft(a_query("One?", "One.", "Two?"), intent=intent(Place.SYSTEM))
    assert draft.wish is Mode.OFF
    assert finished(draft, a_candidate("1")).wish is Mode.OFF


def test_the_lineage_tells():
    query = a_query()
    plain, end, front = (a_draft(query, intent=i) for i in (None, intent(Place.END), intent(Place.FRONT)))
    assert len({plain.lineage, end.lineage, front.lineage}) == 3
