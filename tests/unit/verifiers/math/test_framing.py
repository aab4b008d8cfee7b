import pytest

from kat_data.verifiers.math.framing import continues_plainly, follows_plainly, is_plain, unknown_words


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("So the answer is ", "."),
        ("Altogether she sold 48 + 24 = ", " clips."),
        ("Since 3+4 = 7, the total is ", ""),
        ("所以一共有", "个苹果"),
    ],
)
def test_neutral_words_state_a_value(before: str, after: str) -> None:
    assert is_plain(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The answer could be ", ""),
        ("Twice the answer is ", ""),
        ("The sum of the answer and 1 is ", ""),
        ("If $x > 0$, we get ", ""),
        ("We have $x > 0$ and get ", ""),
        ("Is the answer ", ""),
        ("The answer is ", " or so"),
        ("The answer is ", "?"),
        ("The answer is at most ", ""),
        ("So 2n = ", ""),
        ("答案不可能是", ""),
        ("答案是", "左右"),
        ("Ответ ", ""),
    ],
)
def test_any_other_word_states_nothing(before: str, after: str) -> None:
    assert not is_plain(before, after)


def test_nouns_of_all_kinds_go_on_with_a_clause_before_a_box() -> None:
    assert continues_plainly("There are ", " squigs in the parade")
    assert not continues_plainly("", " squigs in the parade")
    assert not continues_plainly("There are ", " squigs if it rains")
    assert not follows_plainly(" squigs")


@pytest.mark.parametrize("text", ["7 apples", r"\frac{AB}{2} cm", "7 or 8", "xy + 1", "48和49", r"0.\bar{3}"])
def test_expressions_have_words_that_are_known(text: str) -> None:
    assert unknown_words(text, "x y") == []


@pytest.mark.parametrize("text", ["n = 7 fails", "error = 7", r"\bar{x} = 7", "7吧"])
def test_other_words_beside_a_value_are_unknown(text: str) -> None:
    assert unknown_words(text)
    assert unknown_words(text, text) == []
