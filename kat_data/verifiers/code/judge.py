"""Programs judged by their tests: passed only where each test was seen to hold from outside the program."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kat_data.domain.verdict import Status
from kat_data.sandbox.base import Ending, Loaded, Program, Raised, Returned, Sandbox, Suite
from kat_data.sandbox.inside.values import TOO_LONG, NotPlain, Opaque
from kat_data.verifiers.code.cases import Plan, compile_cases, first_failure
from kat_data.verifiers.code.finding import SHOWN, Finding, ProgramVerdict, TaskFault, unpassed
from kat_data.verifiers.code.operations import parts
from kat_data.verifiers.code.stdio import judge_stdio
from kat_data.verifiers.code.task import CodeTask, FunctionMode, TaskMode

_RAISED = {"MemoryError": Status.MEMORY, TOO_LONG: Status.OUTPUT_LIMIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVerdict:
    """A verdict on one program; `reward` is none where the task is invalid or nothing isolated the program."""

    verdict: ProgramVerdict
    reward: float | None
    evidence: dict[str, Any] = field(default_factory=dict)


def judge_program(sandbox: Sandbox, task: CodeTask, source: str) -> CodeVerdict:
    """Run a program against a task's tests in the sandbox; raises `SandboxFault` where the sandbox breaks."""
    found = _invalid(task) or _found(sandbox, task, source)
    return CodeVerdict(
        verdict=found.verdict,
        reward=_reward(found.verdict) if sandbox.trusted else None,
        evidence=_evidence(sandbox, task, found),
    )


def _reward(verdict: ProgramVerdict) -> float | None:
    if verdict is TaskFault.INVALID_TASK:
        return None
    return 1.0 if verdict is Status.PASSED else 0.0


def _evidence(sandbox: Sandbox, task: CodeTask, found: Finding) -> dict[str, Any]:
    evidence: dict[str, Any] = {
        "sandbox": sandbox.name,
        "mode": found.how,
        "passed": found.passed,
        "of": len(task.tests or task.cases),
        "seconds": round(found.seconds, 4),
    }
    if found.reason:
        evidence["reason"] = found.reason[:SHOWN]
    if found.stderr and found.verdict is not Status.PASSED:
        evidence["stderr"] = found.stderr[-SHOWN:]
    if not sandbox.trusted:
        evidence["note"] = "nothing isolated the program: no reward"
    return evidence


def _invalid(task: CodeTask) -> Finding | None:
    tests = task.tests if task.mode is TaskMode.FUNCTION else task.cases
    if not tests:
        what = "tests" if task.mode is TaskMode.FUNCTION else "cases"
        return Finding(verdict=TaskFault.INVALID_TASK, how=task.mode.value, reason=f"the task has no {what}")
    return None


def _found(sandbox: Sandbox, task: CodeTask, source: str) -> Finding:
    try:
        source.encode()
    except UnicodeEncodeError:
        return Finding(verdict=Status.FAILED, how=task.mode.value, reason="the program is not valid Unicode")
    program = Program(source=source, language=task.language, limits=task.limits)
    if task.mode is TaskMode.STDIO:
        return judge_stdio(sandbox, task, program)
    plan = None
    if task.function_mode is not FunctionMode.TESTER:
        plan = compile_cases(task.tests, task.entry, task.prelude, task.names)
    if plan is not None:
        found = sandbox.judge(program, _calls(plan, task))
        if found is not None:
            return found
    return sandbox.judge(program, _suite(task))


def _calls(plan: Plan, task: CodeTask) -> Callable[[Loaded], Finding | None]:
    def work(loaded: Loaded) -> Finding | None:
        called = loaded.call(plan.calls)
        failure = first_failure(plan, called.outcomes)
        ended = unpassed(called.ending, called.trouble)
        if failure is not None and task.function_mode is FunctionMode.AUTO and any(map(_is_object, called.outcomes)):
            return None  # the tester may go on where no plain value can
        if failure is None:
            # The calls all gave what was due; what the program did to itself after them still counts against it.
            verdict = Status.PASSED if called.ending is Ending.EXITED else ended
            reason, passed = "", len(task.tests)
        elif failure.ended:
            verdict, passed = ended, failure.passed
            reason = f"the program does not load: {called.trouble}" if called.trouble else failure.reason
        else:
            verdict = _RAISED.get(failure.error, Status.FAILED)
            reason, passed = failure.reason, failure.passed
        return Finding(
            verdict=verdict, how="data", reason=reason, passed=passed, seconds=called.seconds, stderr=called.stderr
        )

    return work


def _is_object(outcome: Returned | Raised) -> bool:
    """Whether a call gave an object that is no plain value, or holds one."""
    if isinstance(outcome, Raised):
        return outcome.error == NotPlain.__name__
    return any(isinstance(part, Opaque) for part in parts(outcome.value))


def _suite(task: CodeTask) -> Callable[[Loaded], Finding]:
    def work(loaded: Loaded) -> Finding:
        tested = loaded.test(Suite(tests=task.tests, entry=task.entry, names=task.names, prelude=task.prelude))
        verdict: ProgramVerdict
        if tested.passed and tested.ending is Ending.EXITED:
            verdict = Status.PASSED
        elif tested.fault:
            verdict = TaskFault.INVALID_TASK
        else:
            verdict = unpassed(tested.ending, tested.failure)
        passed = len(task.tests) if verdict is Status.PASSED else min(tested.done, len(task.tests))
        return Finding(
            verdict=verdict,
            how="tester",
            reason=tested.failure,
            passed=passed,
            seconds=tested.seconds,
            stderr=tested.stderr,
        )

    return work
