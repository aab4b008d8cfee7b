"""Admission of code tasks: the tests must hold for the reference, and must not hold for a program that does nothing."""

import ast
import warnings
from dataclasses import dataclass

from kat_data.domain.verdict import Status
from kat_data.sandbox.base import Language, Sandbox
from kat_data.verifiers.code.finding import TaskFault
from kat_data.verifiers.code.judge import judge_program
from kat_data.verifiers.code.task import CodeTask, TaskMode

_FUNCTION = "def {name}(*arguments, **keywords):\n    return None\n"
_CLASS = (
    "class {name}:\n    def __init__(self, *arguments, **keywords):\n        pass\n\n"
    "    def __getattr__(self, name):\n        return lambda *arguments, **keywords: None\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whether a task may be used, and why not; a task that may not is reported as `invalid_task`."""

    ok: bool
    reason: str = ""


def admit(sandbox: Sandbox, task: CodeTask, reference: str | None) -> Admission:
    """Run the reference, where there is one, which must pass, and a stub, which must not.

    Raises `SandboxFault` as the sandbox does.
    """
    if reference is not None:
        found = judge_program(sandbox, task, reference)
        if found.verdict is not Status.PASSED:
            said = "" if found.verdict is TaskFault.INVALID_TASK else "the reference does not pass: "
            return Admission(
                ok=False, reason=f"{said}{found.verdict.value}: {found.evidence.get('reason', '')}".rstrip(": ")
            )
    of_stub = judge_program(sandbox, task, stub(task, reference or "")).verdict
    if of_stub is TaskFault.INVALID_TASK:
        return Admission(ok=False, reason="the tests cannot be run")
    if of_stub is Status.PASSED:
        return Admission(ok=False, reason="a stub passes: the tests hold for a program that does nothing")
    return Admission(ok=True)


def stub(task: CodeTask, reference: str = "") -> str:
    """Return a program that does nothing: it defines what the reference defines, or it prints nothing."""
    if task.mode is TaskMode.STDIO:
        return "int main() { return 0; }\n" if task.language is Language.CPP else "pass\n"
    defined = ({task.entry: _FUNCTION} if task.entry else {}) | _defined(reference)
    return "\n\n".join(text.format(name=name) for name, text in defined.items()) or "pass\n"


def _defined(reference: str) -> dict[str, str]:
    """The outermost functions and classes of a program; none where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(reference).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    functions = {node.name: _FUNCTION for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return functions | {node.name: _CLASS for node in body if isinstance(node, ast.ClassDef)}
