"""What was found of one program: a verdict, and what a curator needs to check it."""

import re
from dataclasses import dataclass
from enum import StrEnum

from kat_data.domain.verdict import Status
from kat_data.sandbox.base import Ending
from kat_data.sandbox.inside.values import TOO_LONG

SHOWN = 500
_OUT_OF_MEMORY = re.compile(r"(?:^|[\s:])MemoryError(?::|\s*$)|\bstd::bad_alloc\b")
_TOO_LONG = re.compile(rf"the program: {TOO_LONG}: ")
ENDINGS = {
    Ending.SIGNALLED: Status.CRASHED,
    Ending.TIMEOUT: Status.TIMEOUT,
    Ending.MEMORY: Status.MEMORY,
    Ending.OUTPUT_LIMIT: Status.OUTPUT_LIMIT,
}


class TaskFault(StrEnum):
    """What is said of a task in place of a verdict; it decides nothing on the program."""

    INVALID_TASK = "invalid_task"


ProgramVerdict = Status | TaskFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How a program went; `how` is the way in which it was tested, `passed` how many tests held before the end."""

    verdict: ProgramVerdict
    how: str
    reason: str = ""
    passed: int = 0
    seconds: float = 0.0
    stderr: str = ""


def unpassed(ending: Ending, trouble: str) -> Status:
    """Return what is said of a program that did not pass, from how it ended and what it complained of."""
    if ending is Ending.EXITED and _TOO_LONG.match(trouble):
        return Status.OUTPUT_LIMIT
    if ending in ENDINGS and not (ending is Ending.SIGNALLED and _OUT_OF_MEMORY.search(trouble)):
        return ENDINGS[ending]
    return Status.MEMORY if _OUT_OF_MEMORY.search(trouble) else Status.FAILED
