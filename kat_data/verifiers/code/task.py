"""Tasks for programs: what a program must do, and what it may use while it does it."""

import ast
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from kat_data.domain.query import Query
from kat_data.errors import InputError
from kat_data.sandbox.base import Language, Limits
from kat_data.sandbox.inside.free_names import free_names


class TaskMode(StrEnum):
    """What is tested: a program's functions, or its standard output."""

    FUNCTION = "function"
    STDIO = "stdio"


class FunctionMode(StrEnum):
    """How tests of functions are run.

    `data` calls the functions with the tests' literals and compares here, `tester` runs the tests in a process of their
    own. Tests that are not all made of literals go to the tester in any mode. `auto` is `data`, and then `tester` for a
    program whose calls give objects that are no plain values.
    """

    AUTO = "auto"
    DATA = "data"
    TESTER = "tester"


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioCase:
    """One input and the output that is due for it; `tolerance` holds for numbers, where the task declares one."""

    stdin: str
    expected: str
    tolerance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTask:
    """A task with its tests; it is hashable, so that what is made of its tests can be kept.

    `prelude` is trusted code that runs before the tests and that the program never sees. `checker` is a trusted Python
    program of the task's author that decides on outputs in place of a comparison.
    """

    mode: TaskMode
    entry: str | None = None
    names: tuple[str, ...] = ()
    prelude: str = ""
    tests: tuple[str, ...] = ()
    cases: tuple[StdioCase, ...] = ()
    checker: str | None = None
    language: Language = Language.PYTHON
    limits: Limits = field(default_factory=Limits)
    function_mode: FunctionMode = FunctionMode.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeJob:
    """A program to judge by a task; `id` is the caller's own."""

    id: str | int
    source: str
    task: CodeTask


E = TypeVar("E", bound=StrEnum)

_TASK_KEYS = ("entry", "names", "tests", "cases", "limits", "language", "prelude", "checker")
_JOB_KEYS = ("id", "mode", "source", *_TASK_KEYS)
_OPTION_KEYS = ("tests", "setup", "entry", "names", "cases", "checker", "language", "limits")
_CASE_KEYS = ("stdin", "expected", "tol")
_MOST = {"wall_s": 3600, "memory_mb": 1 << 20, "output_bytes": 1 << 30, "pids": 10_000}


def parse_job(row: Any, function_mode: FunctionMode = FunctionMode.AUTO) -> CodeJob:
    """Read one JSON object of `kat verify code`; raises `InputError` with one line that says what to correct.

    Keys: `id, mode, source`, and `entry, names, tests, prelude` (function) or `cases, checker` (stdio); `language`,
    `limits`. Others are the caller's own, and left alone.
    """
    given = _without_notes(row)
    if type(given.get("id")) not in (str, int):
        _refuse("`id` must be text or a whole number")
    mode = _one_of(TaskMode, given.get("mode"), "mode")
    task = _task(mode, given, function_mode)
    return CodeJob(id=given["id"], source=_text(given, "source", needed=True), task=task)


def task_of(query: Query, function_mode: FunctionMode = FunctionMode.AUTO) -> CodeTask:
    """Read the task in a query's verifier; raises `InputError` where its options are not those of code."""
    given = _mapping(query.verifier.options if query.verifier else {}, "the verifier's options", _OPTION_KEYS)
    mode = TaskMode.STDIO if given.get("cases") else TaskMode.FUNCTION
    return _task(mode, {**given, "prelude": given.get("setup")}, function_mode)


def _task(mode: TaskMode, given: Mapping[str, Any], function_mode: FunctionMode) -> CodeTask:
    others = ("cases", "checker") if mode is TaskMode.FUNCTION else ("tests", "entry", "names", "prelude")
    if stray := next((key for key in others if given.get(key)), None):
        _refuse(f"`{stray}` does not go with mode {mode.value}")
    language = _one_of(Language, given.get("language") or Language.PYTHON.value, "language")
    if mode is TaskMode.FUNCTION and language is not Language.PYTHON:
        _refuse(f"mode function is for Python only; judge {language.value} by mode stdio")
    return CodeTask(
        mode=mode,
        entry=_name(given) or _only_name(given),
        names=tuple(_texts(given, "names")),
        prelude=_text(given, "prelude"),
        tests=tuple(_texts(given, "tests")),
        cases=tuple(_case(case, f"case {i}") for i, case in enumerate(_list(given, "cases"), 1)),
        checker=_checker(given),
        language=language,
        limits=_limits(given.get("limits")),
        function_mode=function_mode,
    )


def _case(case: Any, where: str) -> StdioCase:
    given = _mapping(case, where, _CASE_KEYS)
    tolerance = given.get("tol")
    if tolerance is not None and not (_is_number(tolerance) and 0 <= tolerance < float("inf")):
        _refuse(f"{where}: `tol` must be a number that is not negative")
    return StdioCase(
        stdin=_text(given, "stdin", where=where),
        expected=_text(given, "expected", where=where, needed=True),
        tolerance=None if tolerance is None else float(tolerance),
    )


def _limits(given: Any) -> Limits:
    names = [limit.name for limit in fields(Limits)]
    limits = _mapping(given or {}, "`limits`", names)
    for name, value in limits.items():
        if not (_is_number(value) and 0 < value <= _MOST[name] and (name == "wall_s" or type(value) is int)):
            kind = "a number" if name == "wall_s" else "a whole number"
            _refuse(f"`limits.{name}` must be {kind} above 0 and at most {_MOST[name]}")
    return Limits(**limits)


def _without_notes(row: Any) -> Mapping[str, Any]:
    """Leave out the caller's own keys; one that looks like a misspelt key of ours is refused."""
    if not isinstance(row, Mapping):
        _refuse(f"the row must be an object, not {type(row).__name__}")
    for key in row:
        near = difflib.get_close_matches(str(key), _JOB_KEYS, 1, 0.8)
        if near and key not in _JOB_KEYS and near[0] not in row:
            _refuse(f"the row has an unknown key `{str(key)[:60]}`: did you mean `{near[0]}`?")
    return {key: value for key, value in row.items() if key in _JOB_KEYS}


def _mapping(given: Any, where: str, known: Iterable[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        _refuse(f"{where} must be an object, not {type(given).__name__}")
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1, 0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"
            _refuse(f"{where} has an unknown key `{str(key)[:60]}`: {hint}")
    return given


def _text(given: Mapping[str, Any], key: str, *, where: str = "", needed: bool = False) -> str:
    value = given.get(key)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        _refuse(f"{where}{': ' if where else ''}`{key}` must be text")
    return value


def _name(given: Mapping[str, Any]) -> str | None:
    name = _text(given, "entry")
    if name and not name.isidentifier():
        _refuse(f"`entry` must be a function's name, not {name[:60]!r}")
    return name or None


def _checker(given: Mapping[str, Any]) -> str | None:
    checker = _text(given, "checker")
    try:
        ast.parse(checker)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        _refuse(f"`checker` is no Python program: {error}")
    return checker or None


def _only_name(given: Mapping[str, Any]) -> str | None:
    """Return the one name that the tests take from the program, where they say so without naming the entry."""
    try:
        found = free_names([ast.parse(_text(given, "prelude")), *map(ast.parse, _texts(given, "tests"))])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return found[0] if len(found) == 1 else None


def _texts(given: Mapping[str, Any], key: str) -> list[str]:
    texts = _list(given, key)
    if any(not isinstance(text, str) for text in texts):
        _refuse(f"`{key}` must be a list of texts")
    return texts


def _list(given: Mapping[str, Any], key: str) -> list[Any]:
    value = given.get(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        _refuse(f"`{key}` must be a list")
    return list(value)


def _one_of(words: type[E], value: Any, key: str) -> E:
    try:
        return words(value)
    except ValueError:
        _refuse(f"`{key}` must be {' or '.join(word.value for word in words)}, not {str(value)[:60]!r}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _refuse(message: str) -> NoReturn:
    raise InputError(message)
