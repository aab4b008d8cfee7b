import pytest

from kat_data.domain.category import Category
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.verdict import Outcome, Status
from kat_data.testing.builders import a_candidate, a_query
from kat_data.verifiers.choice.verifier import ChoiceVerifier, chosen_letters, decide_choice

CHOICES = ["red", "green", "blue", "none of these"]


@pytest.mark.parametrize(
    ("reply", "letters"),
    [
        ("C", "C"),
        ("(c)", "C"),
        ("Ｃ", "C"),
        ("C. blue", "C"),
        ("Answer: C", "C"),
        ("The answer is (C).", "C"),
        (r"Thus $\boxed{\text{(C)}}$", "C"),
        ("答案：C", "C"),
        ("所以选C", "C"),
        ("Light of 460 nm is blue.\n\nC", "C"),
        ("blue", "C"),
        ("It must be blue, since the wave is short.", "C"),
        ("A or C", "AC"),
        ("red or blue", "AC"),
        ("Both are possible: the answer is A and C.", "AC"),
        ("C) green", "BC"),
        ("Grass is green.", ""),
        ("A fine question.", ""),
        ("The answer is not C.", ""),
        ("E", "E"),
        ("", ""),
    ],
)
def test_the_letters_on_which_a_reply_settles(reply: str, letters: str) -> None:
    assert chosen_letters(reply, CHOICES) == set(letters)


@pytest.mark.parametrize(
    ("reply", "letters"),
    [
        ("The answer is A. No, wait, the answer is C.", "C"),
        ("The answer is A. The answer is C.", "AC"),
        ("The answer is A. Or the answer is C.", "AC"),
        ("The answer is A." + " The spectrum says otherwise." * 10 + " The answer is C.", "C"),
        ("The answer is C. However, A is too long a wave.", "C"),
        ("The answer is C. It could also be A.", "AC"),
        ("<think>The answer is A.</think>C", "C"),
        ("<think>The answer is C.", ""),
        ("<answer>A</answer><answer>C</answer>", "AC"),
    ],
)
def test_a_second_choice_counts_unless_it_corrects_the_first(reply: str, letters: str) -> None:
    assert chosen_letters(reply, CHOICES) == set(letters)


@pytest.mark.parametrize(
    "reply",
    [
        "C, I guess",
        "If x > 0, the answer is C",
        "C - no",
        r"\boxed{-C}",
        "C. Scratch that.",
        "答案是C吗",
        "-blue",
        "blue, maybe",
    ],
)
def test_a_choice_amid_words_that_may_change_it_is_none(reply: str) -> None:
    assert decide_choice(reply, "C", CHOICES).status is Status.UNPARSABLE
    assert chosen_letters(reply, CHOICES) == set()


@pytest.mark.parametrize(
    ("choices", "reply", "letter"),
    [
        (["iron", "iron and steel"], "iron and steel", "B"),
        (["E. coli", "yeast", "a", "b", "c"], "The answer is E. coli.", "A"),
        (["CO", "Co"], "CO", "A"),
        (["$-5$", "5"], "−5", "A"),
        (["the Sun", "the Moon"], "Sun", "A"),
        (["1", "-1"], "B. -1", "B"),
        (["1", "-1"], "A - 1", "A"),
        ([str(number) for number in range(26)], "Z", "Z"),
    ],
)
def test_an_option_is_named_by_its_text(choices: list[str], reply: str, letter: str) -> None:
    assert chosen_letters(reply, choices) == {letter}


@pytest.mark.parametrize("reply", ["red", "B"])
def test_options_that_cannot_be_told_apart_are_named_by_no_text(reply: str) -> None:
    assert chosen_letters(reply, ["red", "red", "B", "A"]) == set()


def test_a_letter_is_an_option_s_text_only_as_it_is_written() -> None:
    assert chosen_letters("Answer: D", ["4d", "2d", "d", "1/2d"]) == {"D"}
    assert chosen_letters("Answer: D", ["4d", "2d", "D", "1/2d"]) == set()


def test_several_reference_letters_are_one_choice() -> None:
    assert decide_choice("A and C", "C, A", CHOICES).status is Status.CORRECT
    assert decide_choice("A", "C, A", CHOICES).status is Status.INCORRECT


def test_a_hedge_is_incorrect_and_its_letters_are_evidence() -> None:
    verdict = decide_choice("B or C", "C", CHOICES)
    assert (verdict.reward, verdict.evidence) == (
        0.0,
        {"reference": "C", "answer": "BC", "note": "several options"},
    )


def test_a_reference_that_is_no_option_leaves_the_answer_not_verified() -> None:
    verifier = VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": CHOICES})
    query = a_query(reference="purple", category=Category.SCIENCE, verifier=verifier)
    verdict = ChoiceVerifier().verify(query, a_candidate("A"))
    assert (verdict.outcome, verdict.status) == (Outcome.UNDECIDED, Status.NOT_VERIFIED)


@pytest.mark.parametrize(
    "unit", ["answer is ", "the answer is B. ", "A. x\n", "\\boxed{", "\\boxed{A} ", "B or ", "no, wait "]
)
def test_no_reply_is_slow(unit: str) -> None:
    chosen_letters(unit * (20_000 // len(unit)), CHOICES)  # quadratic patterns would take minutes
