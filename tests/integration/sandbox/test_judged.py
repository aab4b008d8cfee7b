"""Verdicts on programs in sandboxes that isolate: as the verifier gives them."""

import pytest

from kat_data.sandbox.base import Language, Limits
from kat_data.sandbox.hostile import programs
from kat_data.sandbox.pool import SlotPool
from kat_data.verifiers.code.admission import admit
from kat_data.verifiers.code.judge import judge_program
from kat_data.verifiers.code.task import CodeTask, FunctionMode, StdioCase, TaskMode
from kat_data.verifiers.code.trial import MODES, judged

pytestmark = pytest.mark.integration

SQUARES = (StdioCase(stdin="3\n", expected="9\n"), StdioCase(stdin="5\n", expected="25\n"))
CPP = "#include <iostream>\nint main() {{ long long n; std::cin >> n; std::cout << {} << std::endl; }}\n"
CHECKER = "import json, sys\ncase = json.load(sys.stdin)\nprint('ok' if case['output'].split() == ['1', '2'] else 'no')"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", programs().hostile)
def test_hostile_programs(sandbox: SlotPool, name: str, mode: FunctionMode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "SECRET")
    trial = judged(sandbox, name, mode)
    assert trial.ok, trial


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        (CPP.format("n * n"), "passed"),
        (CPP.format("n + n"), "failed"),
        (CPP.format("n * "), "failed"),
        (CPP.format("*(volatile int *)(n - n)"), "crashed"),
    ],
)
def test_cpp(sandbox: SlotPool, source: str, verdict: str) -> None:
    task = CodeTask(mode=TaskMode.STDIO, cases=SQUARES, language=Language.CPP)
    assert judge_program(sandbox, task, source).verdict == verdict
    assert verdict != "passed" or admit(sandbox, task, source).ok


ENDLESS = "template <int N> struct T { static const int v = T<N - 1>::v + T<N - 2 + N % 2>::v; };\n"
ENDLESS += '#include "/dev/zero"\nint main() {}\n'


def test_compiling_ends(sandbox: SlotPool) -> None:
    task = CodeTask(mode=TaskMode.STDIO, cases=SQUARES, language=Language.CPP)
    found = judge_program(sandbox, task, ENDLESS)
    assert found.verdict in ("timeout", "memory", "failed", "output_limit"), found
    assert found.evidence["seconds"] < 12


@pytest.mark.parametrize(("source", "verdict"), [("print(1, 2)", "passed"), ("print('ok')", "failed")])
def test_checkers(sandbox: SlotPool, source: str, verdict: str) -> None:
    task = CodeTask(mode=TaskMode.STDIO, cases=SQUARES, checker=CHECKER)
    assert judge_program(sandbox, task, source).verdict == verdict


BUSY = """import os, time
for _ in range(6):
    if os.fork() == 0:
        while True:
            pass
end = time.process_time() + 2.5
while time.process_time() < end:
    pass
print(3)
"""
KEEPS = 'open("/tmp/st", "a").write("3")\nprint(open("/tmp/st").read())\n'
REPLACES = """#include <fstream>
#include <iostream>
#include <unistd.h>
int main() {
    char path[4096] = {};
    if (readlink("/proc/self/exe", path, 4095) > 0) unlink(path);
    std::ofstream("/tmp/program") << "#!/bin/sh\\necho 33";
    std::cout << 3 << std::endl;
}
"""
THREES = (StdioCase(stdin="", expected="3"), StdioCase(stdin="", expected="33"))
MANY_FILES = """import os
def add(a, b):
    for i in range(10**6):
        open(f"/tmp/{i}", "w").close()
"""


def test_a_program_that_starves_itself_earns_no_time(sandbox: SlotPool) -> None:
    task = CodeTask(mode=TaskMode.STDIO, cases=THREES[:1], limits=Limits(wall_s=1.0))
    found = judge_program(sandbox, task, BUSY)
    assert found.verdict == "timeout"
    assert found.evidence["seconds"] < 1.5


@pytest.mark.parametrize(("language", "source"), [(Language.PYTHON, KEEPS), (Language.CPP, REPLACES)])
def test_nothing_stays_from_case_to_case(sandbox: SlotPool, language: Language, source: str) -> None:
    task = CodeTask(mode=TaskMode.STDIO, cases=THREES, language=language)
    found = judge_program(sandbox, task, source)
    assert (found.verdict, found.evidence["passed"]) == ("failed", 1), found


@pytest.mark.parametrize("mode", MODES)
def test_files_are_counted(sandbox: SlotPool, mode: FunctionMode) -> None:
    task = CodeTask(mode=TaskMode.FUNCTION, entry="add", tests=("assert add(1, 2) == 3",), function_mode=mode)
    assert judge_program(sandbox, task, MANY_FILES).verdict == ("output_limit" if sandbox.name == "bwrap" else "failed")


def test_counting_without_end_holds_nothing(sandbox: SlotPool) -> None:
    tests = ("xs = add(1, 2)\nfor v in [37]:\n    assert v in xs",)
    task = CodeTask(mode=TaskMode.FUNCTION, entry="add", tests=tests)
    assert judge_program(sandbox, task, "import itertools\ndef add(a, b): return itertools.count()").verdict == "failed"
    assert judge_program(sandbox, task, "def add(a, b): return iter(range(50))").verdict == "passed"


OPAQUE = "import array\ndef add(a, b): return array.array('i', [a, b])\n"


def test_what_is_no_plain_value_goes_to_the_tester(sandbox: SlotPool) -> None:
    tests = ("assert list(add(1, 2)) == [1, 2]",)
    task = CodeTask(mode=TaskMode.FUNCTION, entry="add", tests=tests)
    found = judge_program(sandbox, task, OPAQUE)
    assert (found.verdict, found.evidence["mode"]) == ("passed", "tester"), found


@pytest.mark.parametrize("mode", MODES)
def test_a_value_that_is_too_long(sandbox: SlotPool, mode: FunctionMode) -> None:
    task = CodeTask(mode=TaskMode.FUNCTION, entry="add", tests=("assert add(1, 2) == 3",), function_mode=mode)
    assert judge_program(sandbox, task, "def add(a, b): return 'x' * (1 << 21)").verdict == "output_limit"


DEEP = "def add(a, b=0): return 0 if a == 0 else 1 + add(a - 1)\n"


@pytest.mark.parametrize("mode", MODES)
def test_recursion_goes_as_deep_as_alone(sandbox: SlotPool, mode: FunctionMode) -> None:
    task = CodeTask(
        mode=TaskMode.FUNCTION, entry="add", tests=("assert add(996) == 996",), limits=Limits(), function_mode=mode
    )
    assert judge_program(sandbox, task, DEEP).verdict == "passed"
    stdio = CodeTask(mode=TaskMode.STDIO, cases=(StdioCase(stdin="", expected="996"),))
    assert judge_program(sandbox, stdio, DEEP + "print(add(996))").verdict == "passed"
