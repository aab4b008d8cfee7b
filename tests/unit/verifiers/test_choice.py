import pytest

from kat_data.domain.category import Category
from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.verdict import Outcome, Status
from kat_data.testing.builders import a_candidate, a_query
from kat_data.verifiers.choice import ChoiceVerifier, chosen_letters

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
        ("A or C", "AC"),
        ("Both are possible: the answer is A and C.", "AC"),
        ("Grass is green.", ""),
        ("E", ""),
        ("", ""),
    ],
)
def test_the_letter_on_which_a_reply_settles(reply: str, letters: str) -> None:
    assert chosen_letters(reply, CHOICES) == set(letters)


def test_a_reference_that_is_no_option_leaves_the_answer_not_verified() -> None:
    verifier = VerifierSpec(kind=VerifierKind.CHOICE, options={"choices": CHOICES})
    query = a_query(reference="purple", category=Category.SCIENCE, verifier=verifier)
    verdict = ChoiceVerifier().verify(query, a_candidate("A"))
    assert (verdict.outcome, verdict.status) == (Outcome.UNDECIDED, Status.NOT_VERIFIED)
