import pytest

from kat_data.verifiers.math.extract import boxes, extract, extract_reference
from kat_data.verifiers.math.text import normalise


@pytest.mark.parametrize(
    ("reply", "text", "found"),
    [
        (r"so \boxed{\frac{1}{2}} it is", r"\frac{1}{2}", "boxed"),
        (r"\boxed{1}. No, wait, it is \boxed{2}", "2", "boxed"),
        (r"\boxed{1}, \boxed{2}", "1, 2", "boxed"),
        (r"\boxed{1} or \boxed{2}", "1 or 2", "boxed"),
        (r"\boxed{255} in the first half. Final Answer: The final answer is $10,455$. I hope so.", "10,455", "stated"),
        ("5 * 4 = 20\n#### 20", "20", "hashes"),
        ("The answer is 12 because 3 * 4 = 12.", "12", "stated"),
        ("**Answer:** 6", "6", "stated"),
        ("**Final Answer**\n840", "840", "stated"),
        ("答案是 36 平方厘米。", "36 平方厘米", "stated"),
        (r"Thus $x \lt 3$ holds here for all.", r"x \lt 3", "segment"),
        ("She earns $9 * 2 = $18 every single day.", "$18", "number"),
        ("In the end there were 15 children.", "15 children", "number"),
        ("2x + 3", "2x + 3", "whole"),
        ("I do not know the answer.", "", "nowhere"),
    ],
)
def test_the_final_answer_is_taken_once(reply: str, text: str, found: str) -> None:
    extracted = extract(normalise(reply))
    assert (extracted.text, extracted.found) == (text, found)


def test_boxes_end_at_their_own_brace() -> None:
    assert boxes(r"\boxed{a{b}\}} \fbox{c} \boxed{open") == [(0, 14, r"a{b}\}"), (15, 23, "c")]


def test_a_denied_number_is_not_the_answer() -> None:
    assert extract("We may be sure that it is not 3").text == "We may be sure that it is not 3"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (r"<think>The answer is \boxed{8}", ""),
        (r"<THINK>\boxed{7}</THINK> It is \boxed{8}", "8"),
        (r"<thinking>\boxed{7}</thinking>", ""),
        (r"a \boxed{7}</think> \boxed{8}", "8"),
    ],
)
def test_thinking_is_no_answer(reply: str, text: str) -> None:
    assert extract(reply).text == text


@pytest.mark.parametrize(
    "reply",
    ["the roots are 7, 8", "from 7 to 8", "The length is 7 and the width is 8.", "Let n = 7. Then we go on."],
)
def test_a_reply_that_only_mentions_numbers_states_no_answer(reply: str) -> None:
    assert extract(reply).text not in {"7", "8"}


@pytest.mark.parametrize(
    "reply",
    [
        r"\boxed{7}. Wait, it should be 8.",
        r"If n is even it is \boxed{7}; if n is odd, \boxed{8}.",
        r"\boxed{8} (instead of \boxed{7})",
        "Suppose the answer is 7.",
        "The answer is 7. Or 8.",
        "6\n7\n8",
        "Solution 1 gives 7. Solution 2 gives 8.",
    ],
)
def test_a_reply_that_takes_its_answer_back_or_has_several_states_none(reply: str) -> None:
    assert extract(reply).text not in {"7", "8"}


def test_two_formulas_side_by_side_are_two_answers() -> None:
    assert extract(r"\(4\) \(3\)").text == "4, 3"


def test_a_reference_may_say_that_there_is_no_answer() -> None:
    assert extract("cannot be determined").text == ""
    assert extract_reference("cannot be determined").text == "cannot be determined"
    assert extract_reference("").text == ""
