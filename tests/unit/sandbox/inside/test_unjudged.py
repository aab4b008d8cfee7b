"""Constructs that no verdict can rest on, found in the tests' source whatever the program is."""

import ast

import pytest

from kat_data.sandbox.inside.unjudged import classes, unjudged

NAMES = ["Stack", "Find_Max", "make", "shape"]
USED = "Stack().push(1)\n"


def found(source: str) -> str:
    trees = [ast.parse(source)]
    return unjudged(trees, classes(trees, NAMES), NAMES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Stack().push(1)", {"Stack"}),
        ("s = Stack()\ns.push(1)", {"Stack"}),
        ("s = Stack()\ns.contents = []", {"Stack"}),
        ("assert isinstance(make(1), shape)", {"shape"}),
        ("assert isinstance(make(1), (int, shape))", {"shape"}),
        ("Stack().pop()", set()),  # as a list has it
        ("assert Find_Max([1, 2]).bit_length() == 2", set()),
        ("assert make().push(1) == 2", set()),  # may be a named tuple, a date
        ("s = Stack()\ns = [1]\ns.push(1)", set()),
        ("for s in [1]:\n    pass\ns = Stack()\ns.push(1)", set()),
        ("other = Other()\nother.push(1)", set()),
    ],
)
def test_classes_are_known_by_their_use(source: str, expected: set[str]) -> None:
    assert classes([ast.parse(source)], NAMES) == expected


@pytest.mark.parametrize(
    "source",
    [
        "assert Stack() == Stack()", "assert make(1) != Stack()", "s = Stack()\nassert s == make(1)",
        "assert [Stack(), 1] == make(1)", "assert (1, (Stack(),)) == make(1)", "assert Stack() < make(2)",
        "assert Stack() in make(1)", "x = {Stack()}", "x = {Stack(): 1}", "hash(Stack())", "assert Stack()",
        "assert not Stack()", "x = 1 if Stack() else 2", "assert make(1) and Stack()", "x = Stack() + make(1)",
        "x = -Stack()", "self.assertEqual(make(1), Stack())", "assert 1 < 2 == Stack()",
    ],
)  # fmt: skip
def test_what_an_object_would_decide(source: str) -> None:
    assert "Stack, a class of the program" in found(USED + source)


@pytest.mark.parametrize(
    "source",
    [
        "assert Stack().size() == 3", "assert make(Stack()) == 3", "assert Stack() is not None",
        "assert len(Stack()) == 0",
        "assert 3 in Stack()", "assert str(Stack()) == 'x'",
        "s = Stack()\nassert s.items == [1]\ns.next = Stack()",
        "assert make(1) == Find_Max([1])", "assert isinstance(Stack(), Stack)", "s = Stack()\ns = 3\nassert s == 3",
        "self.assertEqual(make(1), 3, Stack())",
    ],
)  # fmt: skip
def test_what_can_be_judged(source: str) -> None:
    assert found(USED + source) == ""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("assert type(make(1)) is Stack", "the class of an object"),
        ("x = make(1)\nassert type(x).__name__ == 'Stack'", "the class of an object"),
        ("assert make(1).__class__.__name__ == 'Stack'", "the class of an object"),
        ("assert make.__doc__", "asks for __doc__"),
        ("assert make(1).__annotations__ == {}", "asks for __annotations__"),
        ("import inspect\nassert inspect.signature(make)", "inspects"),
        ("from inspect import signature\nassert signature(make)", "inspects"),
        ("assert make(1) == Stack.RED", "objects of the program decide"),
        ("assert Stack(1, 2) == make(1)", "objects of the program decide"),
        ("assert make(1) == [Stack.RED]", "objects of the program decide"),
        (
            "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as out:\n    make(1)",
            "runs in another",
        ),
        ("import sys, io\nsys.stdout = io.StringIO()", "runs in another"),
        ("import builtins\nbuiltins.input = lambda: '3'", "runs in another"),
        ("with patch('builtins.input', return_value='3'):\n    make(1)", "runs in another"),
        ("with patch.object(sys, 'stdout'):\n    make(1)", "runs in another"),
    ],
)
def test_what_the_tests_own_process_cannot_see(source: str, says: str) -> None:
    assert says in found(source)


@pytest.mark.parametrize(
    "source",
    [
        "assert type(make(1)) is int", "assert type(make(1)).__name__ == 'int'", "assert make(1).__class__ == list",
        "try:\n    make(1)\nexcept Exception as e:\n    assert type(e).__name__ == 'StackError'",
        "try:\n    make(1)\nexcept Exception as e:\n    assert e.__class__ is Stack",
        "assert make(1) == Find_Max(2)", "assert Stack.LIMIT == 5", "assert Stack(1) == [1]", "import inspect",
        "assert make.__name__ == 'make'", "import sys\nsys.setrecursionlimit(5000)", "setattr(make(1), 'input', 3)",
    ],
)  # fmt: skip
def test_what_the_tests_own_process_can_see(source: str) -> None:
    assert found(source) == ""
