"""A sandbox and the judge of programs on trial: hostile programs in both modes, and what each left for the next."""

from collections.abc import Iterator
from dataclasses import dataclass

from kat_data.sandbox.base import Limits, Program, Sandbox
from kat_data.sandbox.hostile import TESTS, programs
from kat_data.verifiers.code.judge import judge_program
from kat_data.verifiers.code.task import CodeTask, FunctionMode, TaskMode

MODES = (FunctionMode.DATA, FunctionMode.TESTER)
_MEMORY_MB = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How one program ended, and how it may end."""

    program: str
    allowed: tuple[str, ...]
    verdict: str
    detail: str

    @property
    def ok(self) -> bool:
        return self.verdict in self.allowed


def count() -> int:
    """Return how many trials there are."""
    return len(MODES) * len(programs().hostile) + len(programs().leaving)


def trials(sandbox: Sandbox) -> Iterator[Trial]:
    """Try every hostile program in every mode, then what programs leave behind."""
    for name in programs().hostile:
        for mode in MODES:
            yield judged(sandbox, name, mode)
    for name in programs().leaving:
        yield leaving(sandbox, name)


def judged(sandbox: Sandbox, name: str, mode: FunctionMode) -> Trial:
    """Let one hostile program be judged like any other."""
    hostile = programs().hostile[name]
    limits = Limits(wall_s=hostile.wall_s, memory_mb=_MEMORY_MB)
    task = CodeTask(mode=TaskMode.FUNCTION, entry="add", tests=TESTS, limits=limits, function_mode=mode)
    found = judge_program(sandbox, task, hostile.source)
    return Trial(
        program=f"{name}, {mode.value}",
        allowed=hostile.verdict,
        verdict=found.verdict.value,
        detail=str(found.evidence.get("reason", "")),
    )


def leaving(sandbox: Sandbox, name: str) -> Trial:
    """Let one program leave something behind and look for it with the next."""
    [left] = sandbox.judge(Program(source=programs().leaving[name]), lambda loaded: loaded.run([b""]))
    [seen] = sandbox.judge(Program(source=programs().look), lambda loaded: loaded.run([b""]))
    clean = left.clean and seen.clean and seen.stdout == b"[]\n"
    verdict = "gone" if clean else "left"
    return Trial(program=f"{name}, left behind", allowed=("gone",), verdict=verdict, detail=f"{left} {seen}")
