"""Exceptions of a program as the tests raise and catch them: classes of their own with the same names and lineage."""

import builtins
from typing import Any

_ENDING = ("SystemExit", "KeyboardInterrupt", "GeneratorExit")
_LONGEST = 16


class ProgramError(Exception):
    """The program raised something that no built-in exception stands for."""


def kind_of(lineage: list[str], known: dict[tuple[str, ...], type[Exception]]) -> type[Exception] | None:
    """Return the class for an exception whose class and its parents have those names; none where it ends programs.

    The first parent that is Python's own is the one here; those before are made once, and kept in `known`.
    """
    lineage = lineage[:_LONGEST]
    if any(name in _ENDING for name in lineage) or ("BaseException" in lineage and "Exception" not in lineage):
        return None
    own = next((i for i, name in enumerate(lineage) if _builtin(name)), len(lineage))
    kind = _builtin(lineage[own]) if own < len(lineage) else ProgramError
    for i in reversed(range(own)):
        names = tuple(lineage[i : own + 1])
        if names not in known:
            known[names] = type(lineage[i], (kind or ProgramError,), {"__init__": _init, "__str__": _str})
        kind = known[names]
    return kind


def raised(kind: type[Exception], message: str, arguments: Any, own: dict[str, Any]) -> Exception:
    """Return an exception of that class as the program's was: its words, its arguments, its own attributes."""
    given = arguments if type(arguments) is list else [message]
    try:
        error = kind(*given)
    except Exception:  # some want other arguments than they keep
        error = ProgramError(f"{kind.__name__}: {message}")
    if kind.__init__ is _init:
        error.__dict__.update(own, _said=message)
    return error


def _init(self: Exception, *arguments: Any) -> None:
    Exception.__init__(self, *arguments)


def _str(self: Exception) -> str:
    return str(self.__dict__.get("_said", Exception.__str__(self)))


def _builtin(name: str) -> type[Exception] | None:
    """Return an ordinary exception of Python's own; those that end iterations mean something else here."""
    found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception) and found not in (StopIteration, StopAsyncIteration):
        return found
    return None
