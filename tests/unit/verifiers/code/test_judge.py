import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from kat_data.errors import SandboxFault
from kat_data.sandbox import bare, base
from kat_data.sandbox.base import (
    Call,
    Called,
    Ending,
    Language,
    Limits,
    Loaded,
    Program,
    Raised,
    Ran,
    Returned,
    Suite,
)
from kat_data.sandbox.pool import SlotPool
from kat_data.verifiers.code.admission import admit, stub
from kat_data.verifiers.code.judge import CodeVerdict, judge_program
from kat_data.verifiers.code.task import CodeTask, FunctionMode, StdioCase, TaskMode

T = TypeVar("T")

ADD = "def add(a, b):\n    return a + b\n"
TESTS = ("assert add(1, 2) == 3", "assert add(-5, 5) == 0")
SQUARES = (StdioCase(stdin="3\n", expected="9\n"), StdioCase(stdin="5\n", expected="25\n"))


def function(*tests: str, mode: FunctionMode = FunctionMode.AUTO, entry: str = "add", prelude: str = "") -> CodeTask:
    return CodeTask(mode=TaskMode.FUNCTION, tests=tests or TESTS, entry=entry, function_mode=mode, prelude=prelude)


def stdio(*cases: StdioCase, checker: str | None = None) -> CodeTask:
    return CodeTask(mode=TaskMode.STDIO, cases=cases or SQUARES, checker=checker)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SlotPool]:
    """Slots without isolation, which the programs of this file do not need."""
    pool = SlotPool(bare.start, size=1, name="bare", trusted=True)
    yield pool
    pool.close()


both = pytest.mark.parametrize("mode", [FunctionMode.DATA, FunctionMode.TESTER])


@both
@pytest.mark.parametrize(
    ("source", "verdict", "reward"),
    [
        (ADD, "passed", 1.0),
        ("def add(a, b):\n    return a - b\n", "failed", 0.0),
        ("def add(a, b):\n    return 3\n", "failed", 0.0),
        ("", "failed", 0.0),
        ("def add(a, b", "failed", 0.0),
        ("def add(a, b):\n    return a + b\0\n", "failed", 0.0),
        ("add = '\ud800'\n", "failed", 0.0),
        ("def plus(a, b):\n    return a + b\n", "failed", 0.0),
        ("def add(a, b):\n    raise MemoryError\n", "memory", 0.0),
        ("raise MemoryError('at once')\n", "memory", 0.0),
        ("import sys\ndef add(a, b):\n    sys.exit(0)\n", "failed", 0.0),
        ("import os\ndef add(a, b):\n    os._exit(0)\n", "failed", 0.0),
        ("import os\nos._exit(0)\n", "failed", 0.0),
        ("import os\ndef add(a, b):\n    os.kill(os.getpid(), 11)\n", "crashed", 0.0),
        ("class I(int):\n    def __eq__(self, o): return True\ndef add(a, b):\n    return I(4)\n", "failed", 0.0),
        ("def add(a, b):\n    return float('nan')\n", "failed", 0.0),
        ("class A:\n    def __eq__(self, o): return True\ndef add(a, b):\n    return A()\n", "failed", 0.0),
    ],
    ids=range(17),
)
def test_functions(sandbox, mode, source, verdict, reward):
    found = judge_program(sandbox, function(mode=mode), source)
    assert (found.verdict, found.reward) == (verdict, reward), found
    assert found.evidence["sandbox"] == "bare"
    assert found.evidence["of"] == 2


@both
def test_the_evidence_names_the_test(sandbox, mode):
    found = judge_program(sandbox, function(mode=mode), "def add(a, b):\n    return 3\n")
    assert found.evidence["passed"] == 1
    assert found.evidence["mode"] == mode.value
    assert "test 2: assert add(-5, 5) == 0" in found.evidence["reason"]


def test_tests_that_are_no_literals_go_to_the_tester(sandbox):
    task = function("assert [add(n, 1) for n in (1, 2)] == due", prelude="due = [2, 3]")
    found = judge_program(sandbox, task, ADD)
    assert (found.verdict, found.evidence["mode"]) == ("passed", "tester")


@pytest.mark.parametrize(
    "task",
    [
        CodeTask(mode=TaskMode.FUNCTION, entry="add"),
        CodeTask(mode=TaskMode.STDIO),
        function("assert add(1, 2 =="),
        function("assert add(1, 2) == 3", prelude="import nothing_of_that_name"),
    ],
    ids=["no tests", "no cases", "syntax", "prelude"],
)
def test_invalid_tasks(sandbox, task):
    found = judge_program(sandbox, task, ADD)
    assert (found.verdict, found.reward) == ("invalid_task", None)
    assert found.evidence["reason"]


def test_what_is_no_data_case_goes_to_the_tester(sandbox):
    task = function("assert [add(n, 1) for n in (1, 2)] == [2, 3]", mode=FunctionMode.DATA)
    found = judge_program(sandbox, task, ADD)
    assert (found.verdict, found.evidence["mode"]) == ("passed", "tester")


@pytest.mark.parametrize(
    ("source", "verdict", "says"),
    [
        ("print(int(input()) ** 2)", "passed", ""),
        ("print(9)", "failed", "case 2: line 1 is '9', not '25'"),
        ("print(int(input()) ** 2)\nraise SystemExit(1)", "failed", "case 1: exit status 1"),
        ("print(int(input()) ** 2, end=' \\n\\n')", "passed", ""),
        ("print(9, 9)", "failed", "case 1"),
        ("def f(:", "failed", "case 1: exit status 1"),
        ("x = [0]\nraise MemoryError", "memory", "case 1: exit status 1"),
        ("import os\nos.kill(os.getpid(), 11)", "crashed", "case 1: signal 11"),
        ("pass", "failed", "case 1: 0 lines were printed, 1 are due"),
    ],
)
def test_programs_that_print(sandbox, source, verdict, says):
    found = judge_program(sandbox, stdio(), source)
    assert found.verdict == verdict, found
    assert says in found.evidence.get("reason", "")


def test_all_of_many_cases_are_run(sandbox):
    cases = [StdioCase(stdin=f"{n}\n", expected=f"{n * n}\n") for n in range(20)]
    found = judge_program(sandbox, stdio(*cases), "n = int(input())\nprint(n * n if n < 19 else 0)")
    assert (found.verdict, found.evidence["passed"]) == ("failed", 19)
    assert judge_program(sandbox, stdio(*cases), "print(int(input()) ** 2)").reward == 1.0


CHECKER = """
import json, sys
case = json.load(sys.stdin)
one, other = map(int, case["output"].split())
assert one + other == int(case["stdin"]), "the sum is wrong"
print("ok" if one < other else f"{one} is not less than {other}")
"""


@pytest.mark.parametrize(
    ("source", "verdict", "says"),
    [
        ("n = int(input())\nprint(1, n - 1)", "passed", ""),
        ("n = int(input())\nprint(n - 1, 1)", "failed", "case 1: 2 is not less than 1"),
        ("n = int(input())\nprint(*(1, n - 1) if n == 3 else (1, 2))", "failed", "case 2: checker: exit status 1"),
        ("print('ok')", "failed", "case 1: checker: exit status 1"),
        ("import os\nos.write(1, b'\\xff')", "failed", "case 1: checker: exit status 1"),
        ("n = int(input())\nprint(1, n - 1)\nraise SystemExit(2)", "failed", "case 1: exit status 2"),
    ],
)
@pytest.mark.parametrize("expected", ["1 2\n", ""])
def test_a_checker_decides_in_the_sandbox(sandbox, expected, source, verdict, says):
    cases = (StdioCase(stdin="3\n", expected=expected), StdioCase(stdin="5\n", expected=expected and "2 3\n"))
    found = judge_program(sandbox, stdio(*cases, checker=CHECKER), source)
    assert found.verdict == verdict, found
    assert says in found.evidence.get("reason", "")


@pytest.mark.parametrize("checker", ["raise ValueError", "print('ok')\nraise SystemExit(1)", "def f(:", "1 / 0"])
def test_a_checker_that_breaks_on_the_expected_output_too_is_the_tasks_fault(sandbox, checker):
    found = judge_program(sandbox, stdio(checker=checker), "print(int(input()) ** 2)")
    assert (found.verdict, found.reward) == ("invalid_task", None)
    assert found.evidence["reason"] == "case 1: checker: exit status 1"


@pytest.mark.parametrize("said", ["print('OK')", "pass", "print('ok ok')"])
def test_a_checker_must_say_ok_and_nothing_else(sandbox, said):
    assert judge_program(sandbox, stdio(checker=said), "pass").verdict == "failed"


def test_a_tolerance_holds_for_its_case_alone(sandbox):
    loose = StdioCase(stdin="", expected="0.3", tolerance=1e-6)
    strict = StdioCase(stdin="", expected="0.3")
    assert judge_program(sandbox, stdio(loose), "print(0.1 + 0.2)").verdict == "passed"
    assert judge_program(sandbox, stdio(loose, strict), "print(0.1 + 0.2)").verdict == "failed"


class Told:
    """A slot in which programs end as told: for ends that are slow or harmful to bring about."""

    def __init__(
        self, *, ran: Ran | None = None, called: Called | None = None, tested: base.Tested | None = None
    ) -> None:
        self._ran, self._called, self._tested = ran, called, tested

    name = "told"
    trusted = True

    def judge(self, program: Program, work: Callable[[Loaded], T]) -> T:
        return work(self)

    def run(self, inputs: Sequence[bytes]) -> list[Ran]:
        return [self._ran] if self._ran else []

    def call(self, calls: Sequence[Call]) -> Called:
        assert self._called
        return self._called

    def test(self, suite: Suite) -> base.Tested:
        assert self._tested
        return self._tested

    def close(self) -> None: ...


ENDS = {
    Ending.SIGNALLED: "crashed",
    Ending.TIMEOUT: "timeout",
    Ending.MEMORY: "memory",
    Ending.OUTPUT_LIMIT: "output_limit",
    Ending.EXITED: "failed",
}


def called(ending: Ending, *values: int, trouble: str = "") -> Called:
    outcomes = tuple(Returned(value=value, arguments=()) for value in values)
    return Called(ending=ending, code=0, outcomes=outcomes, trouble=trouble, stderr="", seconds=0.1)


def a_test_run(ending: Ending, *, passed: bool = False, fault: bool = False, failure: str = "") -> base.Tested:
    return base.Tested(
        ending=ending, code=0, passed=passed, done=2, failure=failure, fault=fault, stderr="", seconds=0.1
    )


def ran(ending: Ending, stdout: bytes = b"9\n", *, code: int = 0, compiled: bool = True, stderr: str = "") -> Ran:
    return Ran(ending=ending, code=code, stdout=stdout, stderr=stderr, seconds=0.1, compiled=compiled)


class Slow(Told):
    """Every run takes as long as `seconds` says for its input and ends so; a checker is told by its source."""

    def __init__(self, seconds: Callable[[bytes], float], checker: Callable[[bytes], Ran] | None = None) -> None:
        super().__init__()
        self._seconds, self._checker = seconds, checker
        self._checks = False
        self.asked: list[int] = []

    def judge(self, program: Program, work: Callable[[Loaded], T]) -> T:
        self._checks = program.source == "checker"
        return work(self)

    def run(self, inputs: Sequence[bytes]) -> list[Ran]:
        if self._checks:
            assert self._checker
            return [self._checker(given) for given in inputs]
        self.asked.append(len(inputs))
        return [replace(ran(Ending.EXITED, given), seconds=self._seconds(given)) for given in inputs]


def same(count: int) -> list[StdioCase]:
    return [StdioCase(stdin=f"{n}", expected=f"{n}") for n in range(count)]


def test_all_cases_together_have_a_limit_too():
    told = Slow(lambda _: 4.9)
    found = judge_program(told, stdio(*same(1000)), "")
    assert (found.verdict, found.evidence["passed"]) == ("timeout", 21)
    assert found.evidence["reason"] == "case 22: the cases before took 103 s, all may take 100 s"
    assert sum(told.asked) == 21
    assert judge_program(Slow(lambda _: 4.9), stdio(*same(21)), "").verdict == "passed"
    assert judge_program(Slow(lambda _: 0.05), stdio(*same(1000)), "").verdict == "passed"


def test_a_checker_that_is_only_slow_on_a_programs_output_fails_the_program():
    def checker(of_program: float, of_expected: float, ending: Ending = Ending.EXITED) -> Callable[[bytes], Ran]:
        def check(given: bytes) -> Ran:
            case = json.loads(given)
            own = case["output"] != case["expected"]
            return replace(ran(ending if own else Ending.EXITED, b"ok"), seconds=of_program if own else of_expected)

        return check

    cases = [StdioCase(stdin=f"{n}", expected=f"{n}.0") for n in range(50)]
    task = CodeTask(mode=TaskMode.STDIO, cases=tuple(cases), checker="checker")
    for check, verdict in (
        (checker(1.0, 1.0), "passed"),
        (checker(9.0, 0.1), "failed"),
        (checker(9.0, 9.0), "invalid_task"),
        (checker(10.0, 0.1, Ending.TIMEOUT), "failed"),
        (lambda _: replace(ran(Ending.TIMEOUT), seconds=10.0), "invalid_task"),
    ):
        assert judge_program(Slow(lambda _: 0.01, check), task, "").verdict == verdict


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not Ending.EXITED])
def test_how_a_program_ended_decides_where_no_test_failed_before(ending):
    def verdict(told: Told, task: CodeTask) -> CodeVerdict:
        found = judge_program(told, task, ADD)
        assert found.reward == 0.0
        return found.verdict

    by_tester = function(mode=FunctionMode.TESTER)
    assert verdict(Told(called=called(ending)), function()) == ENDS[ending]
    assert verdict(Told(called=called(ending, 3)), function()) == ENDS[ending]
    assert verdict(Told(called=called(ending, 3, 0)), function()) == ENDS[ending]
    assert verdict(Told(called=called(ending, 4)), function()) == "failed"
    assert verdict(Told(tested=a_test_run(ending)), by_tester) == ENDS[ending]
    assert verdict(Told(tested=a_test_run(ending, passed=True)), by_tester) == ENDS[ending]
    assert verdict(Told(ran=ran(ending, b"9\n")), stdio()) == ENDS[ending]


def test_what_fails_without_an_ending_of_its_own():
    memory = ran(Ending.EXITED, code=1, stderr="Traceback\nMemoryError\n")
    assert judge_program(Told(ran=memory), stdio(), "").verdict == "memory"
    aborted = ran(Ending.SIGNALLED, code=6, stderr="terminate called\n  what():  std::bad_alloc\n")
    assert judge_program(Told(ran=aborted), stdio(), "").verdict == "memory"
    uncompiled = ran(Ending.EXITED, code=1, compiled=False, stderr="error: expected ';'")
    found = judge_program(Told(ran=uncompiled), stdio(), "")
    assert (found.verdict, found.evidence["reason"]) == ("failed", "case 1: the program does not compile")
    slow = ran(Ending.TIMEOUT, compiled=False)
    assert judge_program(Told(ran=slow), stdio(), "").verdict == "timeout"
    fault = Told(tested=a_test_run(Ending.EXITED, fault=True, failure="test 1 does not compile"))
    assert judge_program(fault, function(mode=FunctionMode.TESTER), "").verdict == "invalid_task"


def test_a_run_that_is_missing_is_no_verdict():
    for told in (Told(), Told(ran=ran(Ending.EXITED))):
        with pytest.raises(SandboxFault):
            judge_program(told, stdio(), "")


def test_a_raised_assertion_is_a_failure_and_a_raised_memory_error_is_memory():
    for error, verdict in (("AssertionError", "failed"), ("MemoryError", "memory"), ("SystemExit", "failed")):
        outcome = Raised(error=error, message="")
        told = Called(ending=Ending.EXITED, code=0, outcomes=(outcome,), trouble="", stderr="", seconds=0.0)
        assert judge_program(Told(called=told), function(), "").verdict == verdict


def test_a_sandbox_that_isolates_nothing_gives_no_reward():
    pool = SlotPool(bare.start, size=1, name="none", trusted=False)
    found = judge_program(pool, function(), ADD)
    pool.close()
    assert (found.verdict, found.reward) == ("passed", None)
    assert "no reward" in found.evidence["note"]


def test_limits_and_language_reach_the_sandbox():
    seen = []

    class Noting(Told):
        def judge(self, program: Program, work: Callable[[Loaded], T]) -> T:
            seen.append(program)
            return super().judge(program, work)

    limits = Limits(wall_s=1.0)
    task = CodeTask(mode=TaskMode.STDIO, cases=SQUARES[:1], language=Language.CPP, limits=limits)
    judge_program(Noting(ran=ran(Ending.EXITED)), task, "int main() {}")
    assert seen == [Program(source="int main() {}", language=Language.CPP, limits=limits)]


def test_a_task_is_admitted_if_its_reference_passes_and_a_stub_fails(sandbox):
    assert admit(sandbox, function(), ADD).ok
    assert admit(sandbox, stdio(), "print(int(input()) ** 2)").ok


@pytest.mark.parametrize(
    ("task", "reference", "says"),
    [
        (function(), "def add(a, b):\n    return a - b\n", "the reference does not pass: failed: test 1"),
        (function("assert add(1, 2) is None"), "def add(a, b): ...", "a stub passes"),
        (function("assert not add(1, 2)"), "def add(a, b): return 0", "a stub passes"),
        (function("assert True", "assert add"), ADD, "the reference does not pass"),
        (function("assert True"), ADD, "the tests never call the program"),
        (function("assert add("), ADD, "invalid_task: test 1 does not compile"),
        (stdio(StdioCase(stdin="", expected="")), "pass", "a stub passes"),
        (stdio(checker="print('ok')"), "print(1)", "a stub passes"),
        (CodeTask(mode=TaskMode.FUNCTION), ADD, "invalid_task: the task has no tests"),
    ],
)
def test_other_tasks_are_not_admitted(sandbox, task, reference, says):
    found = admit(sandbox, task, reference)
    assert not found.ok
    assert says in found.reason


def test_a_stub_has_the_names_of_the_reference():
    names = {}
    exec(stub(function(), "class Node:\n    pass\n\nasync def help(): ...\n\ndef add(a, b):\n    return 1\n"), names)
    assert names["add"](1, 2) is None
    assert names["help"](x=1) is None
    assert names["Node"](1).walk() is None
    assert "def add" in stub(function(), "not Python (")
