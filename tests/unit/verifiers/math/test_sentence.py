import pytest

from kat_data.verifiers.math.sentence import first_clause, is_retracted, is_supposed, main_clause, number_in


@pytest.mark.parametrize(
    "after",
    [
        ". No, that cannot be.",
        "? No.",
        "\n\nWait, I forgot a factor.",
        ". Actually, this is wrong.",
        ", but it is 5.",
        "\n\nCorrection: 8",
        ". Or 8.",
        "$. Hmm, let me see.",
    ],
)
def test_an_answer_is_taken_back_by_what_follows_it(after: str) -> None:
    assert is_retracted(after)


@pytest.mark.parametrize(
    "after",
    ["", ".", ". Note that 8 is too large.", " or equivalently 7.0", "\n\nNow we check it.", ". This is the only one."],
)
def test_other_text_after_an_answer_takes_nothing_back(after: str) -> None:
    assert not is_retracted(after)


@pytest.mark.parametrize(
    ("sentence", "main"),
    [
        ("The least value is $-4$, attained at $x = 2$.", "The least value is $-4$"),
        ("The least value is -4 when x = 2.", "The least value is -4"),
        ("She has 8 apples because she bought 3 more.", "She has 8 apples"),
        ("This holds since 3+4 = 7.", "This holds since 3+4 = 7."),
        ("The function 2x^2-8x has its minimum at x = 2.", "The function 2x^2-8x has its minimum at x = 2."),
    ],
)
def test_the_main_clause_has_no_reason_and_no_place(sentence: str, main: str) -> None:
    assert main_clause(sentence) == main


def test_the_first_clause_ends_before_what_the_answer_is_not() -> None:
    assert first_clause("A, not B. Then on.") == "A"
    assert first_clause("7 (at x=2)") == "7"


@pytest.mark.parametrize(
    ("sentence", "number"),
    [
        ("In all there are 1,250 of them", "1,250"),
        ("the ratio of boys to girls is 7:8", "7:8"),
        (r"3\text{ is not the answer here}", "3 is not the answer here"),
        ("see above (7 or so)", "see above (7 or so)"),
    ],
)
def test_the_last_number_counts_unless_it_is_denied(sentence: str, number: str) -> None:
    assert number_in(sentence) == number


def test_suppositions_and_denials_lead_up_to_no_answer() -> None:
    assert is_supposed("Suppose the ")
    assert is_supposed("It is false that the ")
    assert not is_supposed("So the ")
