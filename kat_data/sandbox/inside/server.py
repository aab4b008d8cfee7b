"""Answers requests for a program's functions and objects, beside the program: nothing here is trusted by anyone."""

import builtins
import operator
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from kat_data.sandbox.inside import frames, library, values

# The functions below keep their own builtins, whatever a program does to the shared ones.
__builtins__ = dict(vars(builtins))  # type: ignore[assignment]

_MESSAGE = 300
_MUTABLE = (list, dict, set, bytearray, *library.MUTABLE)


class Server:
    """Answers requests: `{"v": value, …}`, or `{"e": class name, "m": message, …}`.

    With a channel, the other side may hold objects and functions of its own and step through iterators; without one,
    iterators are used up and sent whole.
    """

    def __init__(self, send: Callable[[bytes], Any], limit: int, channel: frames.Channel | None = None) -> None:
        self._send = send
        self._limit = limit
        self._channel = channel
        self._names: dict[str, Any] = {}
        self._kept: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._late: dict[int, BaseException] = {}
        self._loop: Any = None
        self._operations: dict[str, Callable[..., Any]] = {
            "str": str, "repr": repr, "len": len, "iter": iter, "set": setattr, "del": delattr,
            "getitem": operator.getitem, "setitem": operator.setitem, "delitem": operator.delitem,
            "isinstance": isinstance, "issubclass": issubclass, "take": self._take, "enter": _enter, "leave": _leave,
            "wait": self._wait, "aiter": aiter, "take_later": self._take_later,
            "enter_later": lambda one: self._wait(type(one).__aenter__(one)),
            "leave_later": lambda one: self._wait(type(one).__aexit__(one, None, None, None)),
        }  # fmt: skip

    def load(self, source: bytes) -> None:
        module = types.ModuleType("solution")
        module.__file__ = f"{os.environ['HOME']}/solution.py"
        sys.modules["solution"] = module
        self._names = module.__dict__
        self._answer(lambda: self._run(source))

    def answer(self, request: dict[str, Any]) -> None:
        self._answer(lambda: self._do(request))

    def _run(self, source: bytes) -> dict[str, Any]:
        exec(compile(source, "solution.py", "exec", dont_inherit=True), self._names)  # noqa: S102
        return {"v": None}

    def _answer(self, work: Callable[[], dict[str, Any]]) -> None:
        try:
            data = frames.pack(work())
        except values.NotPlain as error:
            data = frames.pack({"e": "NotPlain", "m": str(error)})
        except BaseException as error:
            data = frames.pack(self._raised(error))
        if len(data) > self._limit:
            data = frames.pack({"e": values.TOO_LONG, "m": "the value is longer than the output limit"})
        self._send(data)

    def _raised(self, error: BaseException) -> dict[str, Any]:
        raised: dict[str, Any] = {"e": type(error).__name__[:80], "m": _said(error)}
        if self._channel is not None:
            own = {name: _plain(value) for name, value in vars(error).items() if not name.startswith("_")}
            kept = {name: value for name, value in own.items() if value is not None}
            raised |= {"x": _lineage(type(error)), "args": _plain(list(error.args)), "own": kept}
        return raised

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        if "get" in request:
            return {"v": self._encode(self._names[request["get"]])}
        target = self._target(request)
        if "attribute" in request:
            return {"v": self._encode(getattr(target, request["attribute"]))}
        arguments = [values.decode(item, self._find) for item in request.get("a", ())]
        keywords = {name: values.decode(item, self._find) for name, item in request.get("k", {}).items()}
        answer = {"v": self._encode(target(*arguments, **keywords))}
        changed = [[i, self._encode(a)] for i, a in enumerate(arguments) if type(a) in _MUTABLE]
        return {**answer, "a": changed} if changed else answer

    def _target(self, request: dict[str, Any]) -> Any:
        if "do" in request:
            return self._operations[request["do"]]
        if "o" in request:
            return self._kept[request["o"]]
        if request["f"] not in self._names:
            raise NameError(f"the program defines no {request['f']}")
        return self._names[request["f"]]

    def _take(self, iterator: Iterator[Any], count: int) -> list[Any]:
        """Return that many next items, or fewer where the iterator ends; what it raises after some comes next time."""
        if (late := self._late.pop(id(iterator), None)) is not None:
            raise late
        taken: list[Any] = []
        try:
            while len(taken) < count:
                taken.append(next(iterator))
        except StopIteration:
            pass
        except BaseException as error:
            if not taken:
                raise
            self._late[id(iterator)] = error
        return taken

    def _take_later(self, iterator: Any) -> list[Any]:
        try:
            return [self._wait(type(iterator).__anext__(iterator))]
        except StopAsyncIteration:
            return []

    def _wait(self, awaitable: Any) -> Any:
        """Run an awaitable to its end, in the one loop of the program."""
        import asyncio

        async def work() -> Any:
            return await awaitable

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(work())

    def _encode(self, value: Any) -> Any:
        return values.encode(value, self._keep)

    def _keep(self, value: Any) -> dict[str, Any] | None:
        if self._channel is None and values.is_iterator(value):
            return None
        number = self._numbers.setdefault(id(value), len(self._kept))
        if number == len(self._kept):
            self._kept.append(value)
        sort = _sort(value)
        kept = {"o": number, "k": type(value).__name__[:80], "is": sort}
        return {**kept, "x": _lineage(value)} if sort == "exception" else kept

    def _find(self, data: dict[str, Any]) -> Any:
        if "local" not in data:
            return self._kept[data["o"]]
        return lambda *arguments, **keywords: self._call_back(data["o"], arguments, keywords)

    def _call_back(self, number: int, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call a function of the tests; while it works, the tests may call the program again."""
        assert self._channel is not None
        sent = {"a": [self._encode(a) for a in arguments], "k": {n: self._encode(v) for n, v in keywords.items()}}
        self._send(frames.pack({"call_back": number, **sent}))
        while True:
            message = self._channel.receive()
            if "back" in message:
                return values.decode(message["back"], self._find)
            if "back_raised" in message:
                raise _exception(message["back_raised"], *message["args"])
            self.answer(message)


def _sort(value: Any) -> str:
    """Return what the tests can do with an object of the program."""
    kind = type(value)
    if isinstance(value, type) and issubclass(value, BaseException):
        return "exception"
    if values.is_iterator(value):
        return "iterator"
    if hasattr(kind, "__await__"):
        return "coroutine"
    if hasattr(kind, "__anext__"):
        return "later"
    return "function" if callable(value) else "object"


def _lineage(kind: type) -> list[str]:
    return [parent.__name__[:80] for parent in kind.__mro__[:16]]


def _plain(value: Any) -> Any:
    try:
        return values.encode(value)
    except Exception:
        return None


def _enter(one: Any) -> Any:
    return type(one).__enter__(one)


def _leave(one: Any, kind: str | None, message: str) -> None:
    error = _exception(kind, message) if kind else None
    type(one).__exit__(one, type(error) if error else None, error, None)


def _exception(kind: str, *arguments: Any) -> Exception:
    """Return what the tests raised, where it is an ordinary exception of Python's own."""
    found = getattr(builtins, kind, None)
    try:
        if isinstance(found, type) and issubclass(found, Exception):
            return found(*arguments)
    except TypeError:
        pass
    return RuntimeError(*arguments)


def _said(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE]
    except BaseException:
        return ""
