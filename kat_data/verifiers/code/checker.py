"""A task's own checker, where a case has many right outputs: a trusted program, fed by a hostile one.

A checker that breaks says nothing by itself: either the output broke it, which is no right output, or the task is at
fault. To tell, it is asked about the output that the task expects, which no program has a say in.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from kat_data.domain.verdict import Status
from kat_data.sandbox.base import Ending, Language, Limits, Loaded, Program, Ran, Sandbox
from kat_data.verifiers.code.finding import SHOWN, Finding, TaskFault
from kat_data.verifiers.code.runs import ending, run_all
from kat_data.verifiers.code.task import CodeTask, StdioCase

_LIMITS = Limits(wall_s=5.0, memory_mb=512, output_bytes=1 << 16)
_TOTAL_S = 100.0
_AT_ONCE = 8


def judge_outputs(sandbox: Sandbox, task: CodeTask, outputs: Sequence[bytes], found: Finding) -> Finding:
    """Return `found`, a program's runs that all ended well, as it is after the checker saw every output."""
    checker = Program(source=task.checker or "", language=Language.PYTHON, limits=_LIMITS)
    given = [_given(case, output) for case, output in zip(task.cases, outputs, strict=True)]
    runs = sandbox.judge(checker, lambda loaded: _check(loaded, given))
    for number, run in enumerate(runs):
        if run.clean and run.stdout.strip() == b"ok":
            continue
        at_fault = not run.clean and _breaks_alone(sandbox, checker, task.cases[number])
        return _said(found, number, _words(run), run.stderr, at_fault=at_fault)
    if len(runs) < len(given):
        at_fault = _is_slow_alone(sandbox, checker, task.cases[len(runs) - 1], runs[-1])
        said = f"the checker took {_TOTAL_S:.0f} s for the outputs before"
        return _said(found, len(runs), said, "", at_fault=at_fault)
    return found


def _check(loaded: Loaded, given: Sequence[bytes]) -> list[Ran]:
    """Ask about each output up to the first on which the checker breaks or says no, or until the time is up."""
    runs: list[Ran] = []
    while len(runs) < len(given) and sum(run.seconds for run in runs) < _TOTAL_S:
        runs += run_all(loaded, given[len(runs) : len(runs) + _AT_ONCE])
        if not all(run.clean and run.stdout.strip() == b"ok" for run in runs[-_AT_ONCE:]):
            break
    return runs


def _breaks_alone(sandbox: Sandbox, checker: Program, case: StdioCase) -> bool:
    """Whether the checker breaks on the case's own expected output too.

    Where none is given, that it raises on an empty output is only right of it.
    """
    control = _control(sandbox, checker, case)
    return not control.clean and (bool(case.expected.strip()) or control.ending is not Ending.EXITED)


def _is_slow_alone(sandbox: Sandbox, checker: Program, case: StdioCase, run: Ran) -> bool:
    """Whether the checker needs about as long for the expected output as for the program's."""
    return 2 * _control(sandbox, checker, case).seconds >= run.seconds


def _control(sandbox: Sandbox, checker: Program, case: StdioCase) -> Ran:
    given = _given(case, case.expected.encode("utf-8", "surrogatepass"))
    return sandbox.judge(checker, lambda loaded: run_all(loaded, [given]))[0]


def _said(found: Finding, passed: int, said: str, stderr: str, *, at_fault: bool) -> Finding:
    verdict = TaskFault.INVALID_TASK if at_fault else Status.FAILED
    return replace(found, verdict=verdict, reason=f"case {passed + 1}: {said}", passed=passed, stderr=stderr)


def _words(run: Ran) -> str:
    if not run.clean:
        return f"checker: {ending(run)}"
    return run.stdout.decode("utf-8", "replace").strip()[:SHOWN] or "the checker did not say ok"


def _given(case: StdioCase, output: bytes) -> bytes:
    """Lone surrogates stand for bytes that are not UTF-8, as Python's `surrogateescape` has it."""
    data = {"stdin": case.stdin, "expected": case.expected, "output": output.decode("utf-8", "surrogateescape")}
    return json.dumps(data).encode()
