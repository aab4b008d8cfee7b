import pytest

from kat_data.domain.verdict import Status
from kat_data.verifiers.math.answer import make_answer
from kat_data.verifiers.math.family import compare_families

GOLD = r"x = \frac{\pi}{4} + k\pi, k \in \mathbb{Z}"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (r"\frac{\pi}{4} + n\pi \text{ where } n \in \mathbb{Z}", Status.CORRECT),
        (r"x = k\pi + \frac{\pi}{4}", Status.CORRECT),
        (r"\frac{5\pi}{4} + n\pi, n \in \mathbb{Z}", Status.UNPARSABLE),
        (r"\frac{\pi}{4} + n\pi", Status.INCORRECT),
        (r"\frac{\pi}{4}", Status.INCORRECT),
        (r"\frac{\pi}{4} + n\pi, k \in \mathbb{Z}", Status.INCORRECT),
    ],
)
def test_the_name_of_the_parameter_does_not_count(answer: str, status: Status) -> None:
    decision = compare_families(make_answer(GOLD), make_answer(answer))
    assert decision is not None
    assert decision.status is status


def test_a_reference_without_parameter_is_no_family() -> None:
    assert compare_families(make_answer(r"2\pi"), make_answer(r"2k\pi, k \in \mathbb{Z}")) is None
