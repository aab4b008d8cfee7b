"""Programs that read and print: each case in turn, then the task's own checker, where it has one."""

from collections.abc import Callable

from kat_data.domain.verdict import Status
from kat_data.sandbox.base import Ending, Limits, Loaded, Program, Ran, Sandbox
from kat_data.verifiers.code.checker import judge_outputs
from kat_data.verifiers.code.finding import SHOWN, Finding, unpassed
from kat_data.verifiers.code.output import difference
from kat_data.verifiers.code.runs import ending, run_all
from kat_data.verifiers.code.task import CodeTask

_AT_ONCE = 8
_LEAST_TOTAL_S = 60.0
_TOTAL_CASES = 20

Compare = Callable[[bytes, str, float | None], str | None]


def judge_stdio(sandbox: Sandbox, task: CodeTask, program: Program) -> Finding:
    """Run the cases up to the first that fails, then ask the checker; raises `SandboxFault` as the sandbox does."""
    compare = None if task.checker else difference
    found, outputs = sandbox.judge(program, lambda loaded: _run_cases(loaded, task, compare))
    if task.checker and found.verdict is Status.PASSED:
        return judge_outputs(sandbox, task, outputs, found)
    return found


def total_seconds(limits: Limits) -> float:
    """Return what all cases of a task may take together: as long as twenty of the slowest, and a minute at least."""
    return max(_LEAST_TOTAL_S, _TOTAL_CASES * limits.wall_s)


def _run_cases(loaded: Loaded, task: CodeTask, compare: Compare | None) -> tuple[Finding, list[bytes]]:
    """Run the cases up to the first that fails; without `compare`, the outputs are kept for a checker."""
    outputs: list[bytes] = []
    seconds, passed, total = 0.0, 0, total_seconds(task.limits)
    while passed < len(task.cases):
        if seconds >= total:
            reason = f"case {passed + 1}: the cases before took {seconds:.0f} s, all may take {total:.0f} s"
            return _finding(Status.TIMEOUT, reason, passed, seconds), outputs
        cases = task.cases[passed : passed + _at_once(total - seconds, task.limits)]
        runs = run_all(loaded, [case.stdin.encode("utf-8", "surrogatepass") for case in cases])
        for case, run in zip(cases, runs, strict=False):
            seconds += run.seconds
            reason = "" if run.clean else ending(run)
            if run.clean and compare:
                reason = compare(run.stdout, case.expected, case.tolerance) or ""
            elif run.clean:
                outputs.append(run.stdout)
            if reason:
                verdict = Status.FAILED if run.clean else _verdict_on(run)
                return _finding(verdict, f"case {passed + 1}: {reason}", passed, seconds, run.stderr), outputs
            passed += 1
    return _finding(Status.PASSED, "", passed, seconds), outputs


def _at_once(seconds: float, limits: Limits) -> int:
    """Return how many cases go in one request: as many as end in that time, however slow they are."""
    return max(1, min(_AT_ONCE, int(seconds / limits.wall_s)))


def _finding(verdict: Status, reason: str, passed: int, seconds: float, stderr: str = "") -> Finding:
    return Finding(verdict=verdict, how="stdio", reason=reason, passed=passed, seconds=seconds, stderr=stderr)


def _verdict_on(run: Ran) -> Status:
    if not run.compiled and run.ending is Ending.EXITED:
        return Status.FAILED
    last = run.stderr.rstrip().rpartition("\n")[2]
    return unpassed(run.ending, last if run.ending is Ending.EXITED else run.stderr[-SHOWN:])
