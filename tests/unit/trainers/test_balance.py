import pytest

from kat_data.domain.mode import Mode
from tests.unit.trainers.toy import tokenizer
from trainers.balance import Balance, Gate

BALANCE = Balance(edge=0.05, batches=3, share=0.25, on="hard", off="easy")


def closed(side: float) -> Gate:
    gate = Gate(BALANCE)
    for _ in range(3):
        gate.note(side)
    return gate


@pytest.mark.parametrize(("side", "minority"), [(0.99, Mode.OFF), (0.01, Mode.ON), (0.95, None), (0.05, None)])
def test_the_gate_is_closed_once_think_on_has_been_at_an_edge_for_some_batches(side: float, minority) -> None:
    gate = Gate(BALANCE)
    for _ in range(2):
        gate.note(side)
        assert gate.minority is None
    gate.note(side)
    assert gate.minority is minority


def test_one_batch_elsewhere_opens_it_and_one_without_modes_says_nothing() -> None:
    gate = closed(1.0)
    gate.note(float("nan"))
    assert gate.minority is Mode.OFF
    gate.note(0.5)
    assert gate.minority is None


def test_without_a_configuration_it_never_closes() -> None:
    gate = Gate(None)
    for _ in range(9):
        gate.note(1.0)
    assert gate.minority is None
    assert not gate.is_forced(0, 1)


def test_the_share_of_each_group_is_forced() -> None:
    gate = closed(1.0)
    assert [gate.is_forced(place, 8) for place in range(16)] == ([False] * 6 + [True] * 2) * 2
    assert not any(Gate(BALANCE).is_forced(place, 8) for place in range(16))


@pytest.mark.parametrize(
    ("side", "text"),
    [(1.0, "<judge>\neasy\n</judge>\n\n<think_off>"), (0.0, "<judge>\nhard\n</judge>\n\n<think_on>")],
)
def test_a_given_judge_ends_with_the_minority_modes_tag(side: float, text: str) -> None:
    assert tokenizer().decode(closed(side).prefix(tokenizer())) == text
