"""What honest programs and tests may do, in every sandbox."""

import math

import pytest

from kat_data.sandbox.base import Call, Ending, Language, Limits, Program, Raised, Returned, Suite
from kat_data.sandbox.inside.library import Record
from kat_data.sandbox.inside.values import Iterated, Opaque
from kat_data.sandbox.pool import SlotPool

pytestmark = pytest.mark.integration

ECHO = Program(source="def echo(x):\n    return x\n")
CPP = "#include <bits/stdc++.h>\nint main() { long a, b; while (std::cin >> a >> b) std::cout << a + b << '\\n'; }\n"


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -7, 2**80, -(2**80), 1.5, -0.0, math.inf, "", "é世😀\ud800", b"\x00\xff", [], [1, [2.0, "x"]],
        (), (1,), {1, 2}, frozenset({3}), {}, {(1, "a"): [None], 2: {"b": b"c"}}, 3 + 4j, range(1, 9, 2),
        bytearray(b"x"),
    ],
)  # fmt: skip
def test_values_go_there_and_back_with_their_types(any_sandbox: SlotPool, value: object) -> None:
    called = any_sandbox.judge(ECHO, lambda loaded: loaded.call([Call(function="echo", arguments=(value,))]))
    [outcome] = called.outcomes
    assert isinstance(outcome, Returned)
    assert (outcome.value, type(outcome.value)) == (value, type(value))


def test_subclasses_come_back_as_what_they_are_made_of(any_sandbox: SlotPool) -> None:
    source = "import collections, enum\nclass L(list): pass\nclass E(enum.IntEnum): A = 4\nclass D(dict): pass\n"
    source += "def f(): return [L([1]), E.A, D(a=2), collections.namedtuple('P', 'x')(3), True]\n"
    called = any_sandbox.judge(Program(source=source), lambda loaded: loaded.call([Call(function="f")]))
    [outcome] = called.outcomes
    assert isinstance(outcome, Returned)
    assert [type(v) for v in outcome.value] == [list, int, dict, Record, bool]
    assert outcome.value == [[1], 4, {"a": 2}, (3,), True]


def test_iterators_and_objects_are_what_they_are(any_sandbox: SlotPool) -> None:
    source = "class C: pass\ndef up(n):\n    yield from range(n)\ndef make():\n    return C()\n"
    calls = [Call(function="up", arguments=(3,)), Call(function="make")]
    called = any_sandbox.judge(Program(source=source), lambda loaded: loaded.call(calls))
    up, made = called.outcomes
    assert isinstance(up, Returned)
    assert isinstance(up.value, Iterated)
    assert list(up.value) == [0, 1, 2]
    assert isinstance(made, Returned)
    assert isinstance(made.value, Opaque)
    assert made.value.kind == "C"


def test_calls_after_one_that_raises_are_made(any_sandbox: SlotPool) -> None:
    source = (
        "def f(x):\n    if x < 0: raise ValueError('negative')\n    x_list.append(x)\n    return x_list\nx_list = []\n"
    )
    calls = [Call(function="f", arguments=(x,)) for x in (1, -1, 2)] + [Call(function="g")]
    called = any_sandbox.judge(Program(source=source), lambda loaded: loaded.call(calls))
    one, negative, two, missing = called.outcomes
    assert one == Returned(value=[1], arguments=(1,))
    assert negative == Raised(error="ValueError", message="negative")
    assert two == Returned(value=[1, 2], arguments=(2,))
    assert missing == Raised(error="NameError", message="the program defines no g")


def test_a_program_that_does_not_load_says_why(any_sandbox: SlotPool) -> None:
    for source, why in (
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import nothing", "ModuleNotFound"),
    ):
        called = any_sandbox.judge(Program(source=source), lambda loaded: loaded.call([Call(function="f")]))
        assert called.trouble.startswith(why)
        assert called.outcomes == ()


TESTED = """
from functools import reduce
class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x); return self
    def __len__(self): return len(self.items)
    def __str__(self): return f"Stack{self.items}"
    def __iter__(self): return iter(self.items)
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
LIMIT = 7
def total(pairs): return sum(p.a * p.b for p in pairs)
def sort(xs): xs.sort()
def fill(d, s): d["x"] = 1; s.add(2)
def apply(f, xs): return [f(x) for x in xs]
def twice(f): return lambda x: f(f(x))
def fail(x): raise KeyError(x)
def leave(): raise SystemExit(0)
def kinds(xs, kind): return [x for x in xs if type(x) is kind]
def odd():
    class Odd(Exception): pass
    raise Odd("odd")
"""

NAMES = ("Stack", "Pair", "LIMIT", "total", "fill", "apply", "twice", "fail", "odd", "kinds", "absent", "leave")


@pytest.mark.parametrize(
    "test",
    [
        "assert math.isclose(LIMIT, 7.0)",
        "from statistics import *\nassert mean([LIMIT, 7]) == 7",
        "x = [3, 1, 2]\nsort(x)\nassert x == [1, 2, 3]",
        "d, s = {}, set()\nfill(d, s)\nassert (d, s) == ({'x': 1}, {2})",
        "s = Stack()\ns.push(1).push(2)\nassert len(s) == 2 and str(s) == 'Stack[1, 2]' and list(s) == [1, 2]",
        "assert Stack().push(5).items == [5]",
        "assert total([Pair(1, 2), Pair(3, 4)]) == 14",
        "assert apply(lambda x: x + 1, [1, 2]) == [2, 3]",
        "def double(x):\n    return 2 * x\nassert twice(double)(3) == 12",
        "assert apply(lambda x: total([Pair(x, x)]), [1, 2]) == [1, 4]",
        "try:\n    fail('k')\n    assert False\nexcept KeyError as error:\n    assert 'k' in str(error)",
        "try:\n    odd()\nexcept Exception as error:\n"
        "    assert (type(error).__name__, str(error)) == ('Odd', 'odd')\nelse:\n    assert False",
        "assert LIMIT == 7",
        "assert helper(2) == 4",
        "assert kinds([1, 'a', 2.5], int) == [1]",
        "assert first.items == [9]",
        "import random\nfor _ in range(9):\n    xs = random.sample(range(99), 5)\n    ys = list(xs)\n    sort(ys)\n"
        "    assert ys == sorted(xs)",
    ],
)
def test_what_tests_may_do(any_sandbox: SlotPool, test: str) -> None:
    suite = Suite(
        tests=(test,), entry="sort", names=NAMES, prelude="def helper(x):\n    return x * 2\nfirst = Stack().push(9)\n"
    )
    tested = any_sandbox.judge(Program(source=TESTED), lambda loaded: loaded.test(suite))
    assert tested.passed, tested


@pytest.mark.parametrize(
    ("test", "failure"),
    [
        ("assert LIMIT == 8", "AssertionError"),
        ("assert Stack()", "no truth value"),
        ("xs = [Stack()]\nassert xs[0] == 0", "compared with nothing"),
        ("assert sort", "no truth value"),
        ("assert absent(3)", "NameError"),
        ("assert len({Stack(), Stack()}) == 2", "no hash"),
        ("try:\n    assert Stack() == 0\nexcept TypeError:\n    pass", "compared with nothing"),
        ("try:\n    leave()\nexcept Exception:\n    pass", "SystemExit"),
        ("fail(1)", "KeyError"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_what_fails_tests(any_sandbox: SlotPool, test: str, failure: str) -> None:
    suite = Suite(tests=("assert LIMIT == 7", test), entry="sort", names=NAMES)
    tested = any_sandbox.judge(Program(source=TESTED), lambda loaded: loaded.test(suite))
    assert (tested.passed, tested.done, tested.fault) == (False, 1, False)
    assert failure in tested.failure


@pytest.mark.parametrize("called", ["", "\ncheck(add)"])
def test_check_is_called_where_the_tests_do_not(any_sandbox: SlotPool, called: str) -> None:
    check = "def check(candidate):\n    assert candidate(1, 2) == 3\n" + called
    for source, passed in (("def add(a, b): return a + b", True), ("def add(a, b): return 4", False)):
        suite = Suite(tests=(check,), entry="add")
        tested = any_sandbox.judge(Program(source=source), lambda loaded, suite=suite: loaded.test(suite))
        assert tested.passed is passed


def test_tests_that_cannot_run_are_the_tasks_fault(any_sandbox: SlotPool) -> None:
    unnamed = Suite(tests=("assert isclose(echo(1), 2)",), entry="echo")
    idle = Suite(tests=("def test_echo():\n    assert echo(1) == 2",), entry="echo")
    for suite in (unnamed, idle, Suite(tests=("assert (",)), Suite(tests=("assert True",), prelude="1 / 0")):
        tested = any_sandbox.judge(ECHO, lambda loaded, suite=suite: loaded.test(suite))
        assert (tested.passed, tested.fault) == (False, True)


def test_a_program_brings_no_yardstick_of_its_own(any_sandbox: SlotPool) -> None:
    cheat = Program(source="class math:\n    isclose = staticmethod(lambda *a, **k: True)\ndef f(x): return 0\n")
    suite = Suite(tests=("assert math.isclose(f(2), 1.41421)",), entry="f")
    tested = any_sandbox.judge(cheat, lambda loaded: loaded.test(suite))
    assert (tested.passed, tested.fault) == (False, False)


def test_stdio_runs_until_one_is_not_clean(any_sandbox: SlotPool) -> None:
    source = "import sys\nn = int(input())\nprint(n * 2)\nprint('noise', file=sys.stderr)\nsys.exit(n == 2)\n"
    runs = any_sandbox.judge(Program(source=source), lambda loaded: loaded.run([b"1\n", b"2\n", b"3\n"]))
    assert [(run.stdout, run.code, run.clean) for run in runs] == [(b"2\n", 0, True), (b"4\n", 1, False)]
    assert runs[0].stderr == "noise\n"


def test_stdio_of_more_inputs_than_go_at_once(any_sandbox: SlotPool) -> None:
    program = Program(source="print(sum(map(int, open(0).read().split())))")
    runs = any_sandbox.judge(program, lambda loaded: loaded.run([f"{n} {n}".encode() for n in range(20)]))
    assert [int(run.stdout) for run in runs] == [2 * n for n in range(20)]


@pytest.mark.parametrize(
    ("source", "code", "stdout"),
    [
        ("import atexit; atexit.register(print, 'bye')", 0, b"bye\n"),
        ("import threading; threading.Thread(target=print, args=['late']).start()", 0, b"late\n"),
        ("raise SystemExit('words')", 1, b""),
        ("import sys; sys.exit(7)", 7, b""),
        ("print('out', end=''); 1 / 0", 1, b"out"),
        ("if __name__ == '__main__': print('main')", 0, b"main\n"),
        ("import subprocess; print(subprocess.run(['echo', 'x'], capture_output=True, text=True).stdout)", 0, b"x\n\n"),
        ("import asyncio\nasync def f(): return 3\nprint(asyncio.run(f()))", 0, b"3\n"),
        ("import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1]))", 0, b"[1]\n"),
    ],
)  # fmt: skip
def test_scripts_end_as_python_ends_them(any_sandbox: SlotPool, source: str, code: int, stdout: bytes) -> None:
    [run] = any_sandbox.judge(Program(source=source), lambda loaded: loaded.run([b""]))
    assert (run.ending, run.code, run.stdout) == (Ending.EXITED, code, stdout), run


def test_cpp_compiles_once_and_runs_on_every_input(any_sandbox: SlotPool) -> None:
    program = Program(source=CPP, language=Language.CPP)
    runs = any_sandbox.judge(program, lambda loaded: loaded.run([b"1 2\n", b"40 2\n"]))
    assert [run.stdout for run in runs] == [b"3\n", b"42\n"]


@pytest.mark.parametrize(
    ("source", "ending", "compiled"),
    [
        ("int main( {", Ending.EXITED, False),
        ("int main() { for (;;) ; }", Ending.TIMEOUT, True),
        ("int main() { volatile int *p = 0; *p = 1; }", Ending.SIGNALLED, True),
        ("#include <cstdlib>\n#include <cstring>\nint main() { for (;;) memset(malloc(1 << 24), 1, 1 << 24); }",
         Ending.MEMORY, True),
        ("#include <cstdio>\nint main() { for (;;) puts(\"x\"); }", Ending.OUTPUT_LIMIT, True),
        ("int main() { return 3; }", Ending.EXITED, True),
    ],
)  # fmt: skip
def test_cpp_ends_as_it_must(sandbox: SlotPool, source: str, ending: Ending, compiled: bool) -> None:
    wall_s = 1.0 if ending is Ending.TIMEOUT else 10.0
    program = Program(source=source, language=Language.CPP, limits=Limits(wall_s=wall_s, memory_mb=256))
    [run] = sandbox.judge(program, lambda loaded: loaded.run([b""]))
    assert (run.ending, run.compiled, run.clean) == (ending, compiled, False), run
