import time
from collections import Counter, deque
from decimal import Decimal
from fractions import Fraction

import pytest

from kat_data.sandbox.inside.values import Iterated, Opaque
from kat_data.verifiers.code.operations import BINARY, COMPARE, FUNCTIONS, Unfit, show

CROWD = [(2**61 - 1) * n for n in range(1, 30_000)]
DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "work",
    [
        lambda: FUNCTIONS["set"](CROWD),
        lambda: FUNCTIONS["dict"]([(n, n) for n in CROWD]),
        lambda: FUNCTIONS["list"](range(10**12)),
        lambda: FUNCTIONS["sum"](range(10**12)),
        lambda: FUNCTIONS["dict"]([range(10**9)]),
        lambda: FUNCTIONS["sum"]([[1]] * 100_000, []),
        lambda: FUNCTIONS["int"]("9" * 1_000_000),
        lambda: FUNCTIONS["float"]("9" * 1_000_000),
        lambda: FUNCTIONS["str"]([1 << 4_000_000]),
        lambda: FUNCTIONS["round"](1 << 4_000_000, -100),
        lambda: FUNCTIONS["round"](1.5, 10**9),
        lambda: COMPARE["In"](1.5, range(10**12)),
        lambda: BINARY["Pow"](10, 10**9),
        lambda: BINARY["Mult"]("x", 10**10),
        lambda: BINARY["Mult"](10**10, [0]),
        lambda: BINARY["Mult"](1 << 4_000_000, 1 << 4_000_000),
        lambda: BINARY["Mod"]("%1000000000d", 1),
        lambda: BINARY["FloorDiv"](1 << 4_000_000, (1 << 2_000_000) + 1),
        lambda: BINARY["LShift"](1, 10**12),
        lambda: BINARY["Mult"](deque([0]), 10**10),
        lambda: BINARY["Pow"](Fraction(1, 3), 10**9),
        lambda: BINARY["Pow"](Decimal("1.0000001"), Decimal("1e9000")),
        lambda: BINARY["Div"](Fraction(1, 1 << 100_000), 3),
        lambda: FUNCTIONS["sum"]([Fraction(1, (1 << 60_000) + n) for n in range(9)]),
    ],
)
def test_what_would_slow_this_process_is_refused_at_once(work):
    begin = time.process_time()
    with pytest.raises(Unfit):
        work()
    assert time.process_time() - begin < 1


def test_equal_items_are_no_crowd():
    assert FUNCTIONS["set"]([0] * 100_000) == {0}
    assert FUNCTIONS["dict"]([("a", 1), ("a", 2)]) == {"a": 2}


def test_objects_of_the_program_equal_nothing():
    for operation in (COMPARE["Eq"], COMPARE["NotEq"], COMPARE["Lt"], COMPARE["In"]):
        with pytest.raises(TypeError):
            operation(Opaque("Point", 1), [1])
    for name in ("bool", "len", "str", "type", "list"):
        with pytest.raises((TypeError, Unfit)):
            FUNCTIONS[name](Opaque("Point", 1))


def test_an_iterator_is_its_items_once_it_is_made_a_list():
    given = Iterated([2, 1])
    assert FUNCTIONS["list"](given) == [2, 1]
    assert FUNCTIONS["sorted"](given) == [1, 2]
    assert FUNCTIONS["sum"](given) == 3
    assert not COMPARE["Eq"](given, [2, 1])
    with pytest.raises(TypeError):
        FUNCTIONS["len"](given)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        ([1] * 100, "[1, 1, 1, 1, 1, 1, 1, 1, ...]"),
        (1 << 4_000_000, "<a number of 4000001 bits>"),
        ([1 << 4_000_000], "[<a number of 4000001 bits>]"),
        (b"x" * 1_000_000, f"b'{'x' * 100}'…"),
        (Opaque("Point", 1), "<Point of the program>"),
    ],
    ids=["number", "list", "large number", "large number in a list", "bytes", "object"],
)
def test_values_are_shown_short(value, shown):
    assert show(value) == shown


def test_deep_values_are_shown_too():
    assert show(DEEP).startswith("[[[[")


def test_values_of_the_library_are_worked_with():
    assert FUNCTIONS["dict"](Counter("aab")) == {"a": 2, "b": 1}
    assert FUNCTIONS["str"]([Fraction(1, 2), Decimal("1.10")]) == "[Fraction(1, 2), Decimal('1.10')]"
    assert BINARY["Mult"](2, deque([1])) == deque([1, 1])
    assert BINARY["Pow"](Fraction(1, 2), 3) == 0.125
    assert FUNCTIONS["sum"]([Fraction(1, 2), Fraction(1, 3)]) == Fraction(5, 6)
    assert BINARY["Mod"](Decimal("5.5"), 2) == Decimal("1.5")
