from collections.abc import Sequence

import pytest

from kat_data.domain.equivalence import Equivalence
from kat_data.domain.verdict import Status
from kat_data.verifiers.math.equivalence import group_answers
from kat_data.verifiers.math.pool import MathPool
from kat_data.verifiers.math.verifier import grade


class CountingPool(MathPool):
    """Counts what reaches computer algebra."""

    def __init__(self) -> None:
        super().__init__(size=1, deadline=20.0)
        self.pairs: list[tuple[str, str]] = []

    def compare(self, gold: str, answer: str) -> dict[str, object]:
        self.pairs.append((gold, answer))
        return super().compare(gold, answer)


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        ([], ()),
        (["4"], ((0,),)),
        (["7", r"so \boxed{4}", "8/2", "The answer is 4."], ((1, 2, 3), (0,))),
        (["1", "2", "2", "1", "3"], ((0, 3), (1, 2), (4,))),
        ([r"\sqrt{8}", r"2\sqrt{2}", "2.83"], ((0, 1), (2,))),
        (["x=1, x=2", r"\{2, 1\}", "(2, 1)"], ((0, 1), (2,))),
        ([r"\text{Monday}", "monday", "Sunday"], ((0, 1), (2,))),
        (["(1,2]", "1 < x \\le 2", "[1,2]"], ((0, 1), (2,))),
    ],
)
def test_equal_answers_fall_into_one_class_and_the_largest_comes_first(
    answers: Sequence[str], classes: tuple[tuple[int, ...], ...], pool: MathPool
) -> None:
    assert group_answers(answers, pool).classes == classes


def test_answers_without_a_value_are_excluded_with_the_reason(pool: MathPool) -> None:
    answers = ["3", "", "9^{9^{9^{9}}}", r"\frac{}{", "3 or 4?", "__import__('os')", "3", "No idea at all."]
    assert group_answers(answers, pool) == Equivalence(
        classes=((0, 6),),
        answers=("3",),
        excluded=(
            (1, Status.UNPARSABLE),
            (2, Status.OVER_LIMIT),
            (3, Status.UNPARSABLE),
            (4, Status.UNPARSABLE),
            (5, Status.UNPARSABLE),
            (7, Status.UNPARSABLE),
        ),
    )


def test_different_units_never_meet_through_an_absent_one(pool: MathPool) -> None:
    assert group_answers(["5", r"5\text{ cm}", r"5\text{ mm}"], pool).classes == ((0, 1), (2,))


@pytest.mark.parametrize(
    "replies",
    [
        ["The answer is 4.", "8/2"],
        [r"so \boxed{\text{Monday}}", "monday"],
        [r"\boxed{x = 3}", "3"],
        [r"\boxed{(1, 2)}", "(1,2)"],
        [r"5\text{ cm}", "5"],
        [r"\boxed{1 < x \le 2}", "(1,2]"],
        [r"\boxed{\frac{\sqrt{3}}{2}}", r"\sqrt{3}/2"],
        [r"\boxed{1, 2 \text{ and } 3}", r"\{1,2,3\}"],
    ],
)
def test_the_answer_of_a_class_is_a_reference_that_its_members_meet(replies: list[str], pool: MathPool) -> None:
    found = group_answers(replies, pool)
    assert found.classes == ((0, 1),)
    assert [grade(found.answers[0], reply, pool).status for reply in replies] == [Status.CORRECT] * 2


def test_confidence_is_the_share_of_the_largest_class_in_all_answers(pool: MathPool) -> None:
    assert group_answers(["2", "4/2", "3", "I do not know."], pool).confidence == 0.5
    assert group_answers([], pool).confidence == 0.0


def test_equal_texts_and_numbers_cost_no_computer_algebra() -> None:
    pool = CountingPool()
    answers = [r"\int_0^1 2x\,dx"] * 20 + [str(n % 4) for n in range(40)] + ["1.0", "2/2"] * 10
    assert [len(each) for each in group_answers(answers, pool).classes] == [50, 10, 10, 10]
    assert len(pool.pairs) <= 6
    pool.close()


def test_a_long_sum_is_grouped_or_excluded_but_never_raises(pool: MathPool) -> None:
    answers = ["5", "+".join(["1"] * 340), "5"]
    found = group_answers(answers, pool)
    assert found.classes[0] == (0, 2)
