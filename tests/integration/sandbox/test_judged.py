"""Verdicts on programs in sandboxes that isolate: as the verifier gives them."""

import pytest

from kat_data.sandbox.base import Language
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


@pytest.mark.parametrize(("source", "verdict"), [("print(1, 2)", "passed"), ("print('ok')", "failed")])
def test_checkers(sandbox: SlotPool, source: str, verdict: str) -> None:
    task = CodeTask(mode=TaskMode.STDIO, cases=SQUARES, checker=CHECKER)
    assert judge_program(sandbox, task, source).verdict == verdict
