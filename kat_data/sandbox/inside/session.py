"""The tests' side of the conversation with the program: values and handles come of it, or the end of the tests."""

from collections import deque
from typing import Any, NoReturn

from kat_data.sandbox.inside import exceptions, frames, values
from kat_data.sandbox.inside.remote import SORTS, Remote, target
from kat_data.sandbox.inside.report import Failed, report

_FAILURE = 500


class Session:
    """The tests' side of the conversation with the program."""

    def __init__(self, channel: frames.Channel) -> None:
        self._channel = channel
        self._local: list[Any] = []
        self._remotes: dict[int, Remote] = {}
        self._exceptions: dict[tuple[str, ...], type[Exception]] = {}
        self.calls = 0
        self.done = 0

    def fail(self, failure: str, *, fault: bool = False) -> NoReturn:
        """End the tests as failed, or as unable to run; no test can catch that, as it might an exception."""
        report(done=self.done, failure=failure[:_FAILURE], fault=fault)

    def loaded(self) -> None:
        answer = self._receive()
        if "e" in answer:
            raise Failed(f"the program does not load: {answer['e']}: {answer.get('m', '')}")
        if "v" not in answer:
            raise Failed("the program broke the protocol")

    def name(self, name: str) -> dict[str, Any]:
        """Return what the program calls `name`, or nothing where it calls nothing so."""
        try:
            return {name: self.ask({"get": name})}
        except Exception:
            return {}

    def call(self, remote: Remote, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        sent = {"a": [self._encode(a) for a in arguments], "k": {n: self._encode(v) for n, v in keywords.items()}}
        return self.ask({**target(remote), **sent}, arguments)

    def operate(self, operation: str, *operands: Any) -> Any:
        """Return what an operation of Python's on the program's objects gives there."""
        return self.ask({"do": operation, "a": [self._encode(operand) for operand in operands]}, operands)

    def ask(self, request: dict[str, Any], arguments: tuple[Any, ...] = ()) -> Any:
        """Return the program's answer as plain values, with its changes made to mutable `arguments`; or raise as it."""
        self.calls += 1
        self._send(request)
        while "call_back" in (answer := self._receive()):
            self._send(self._called_back(answer))
        if "e" in answer:
            raise self._raised(answer)
        try:
            for index, changed in answer.get("a", ()):
                if changed != self._encode(arguments[index]):
                    _change(arguments[index], values.decode(changed, self._find))
            return values.decode(answer["v"], self._find)
        except (values.NotPlain, LookupError, TypeError, ValueError) as error:
            self.fail(f"the program sent no value: {error}")

    def _raised(self, answer: dict[str, Any]) -> Exception:
        """Return the exception that the program raised; one that ends programs ends the tests here."""
        lineage = [str(kind) for kind in answer.get("x", [answer["e"]])]
        said = str(answer.get("m", ""))
        kind = exceptions.kind_of(lineage, self._exceptions)
        if str(answer["e"]) in ("NotPlain", values.TOO_LONG) or kind is None:
            self.fail(f"the program: {answer['e']}: {said}")
        try:
            arguments = values.decode(answer.get("args"))
            own = {str(name): values.decode(value) for name, value in answer.get("own", {}).items()}
        except (values.NotPlain, AttributeError, RecursionError):
            arguments, own = None, {}
        return exceptions.raised(kind, said, arguments, own)

    def _called_back(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            arguments = [values.decode(a, self._find) for a in message["a"]]
            keywords = {str(n): values.decode(v, self._find) for n, v in message["k"].items()}
            return {"back": self._encode(self._local[message["call_back"]](*arguments, **keywords))}
        except Exception as error:
            given = [arg for arg in error.args if type(arg) in (str, int)]
            return {"back_raised": type(error).__name__, "args": given}

    def _encode(self, value: Any) -> Any:
        return values.encode(value, self._keep)

    def _keep(self, value: Any) -> dict[str, Any] | None:
        if isinstance(value, Remote):
            return self._reference(value)
        if isinstance(value, BaseException) or value in self._exceptions.values():
            raise values.NotPlain("an exception of the program cannot be given back to it")
        if values.is_iterator(value):
            return None
        if not callable(value):
            self.fail(f"the tests give the program an object of their own, a {type(value).__name__}", fault=True)
        self._local.append(value)
        return {"o": len(self._local) - 1, "k": "function", "local": True}

    def _reference(self, remote: Remote) -> dict[str, Any]:
        known = target(remote)
        if "f" in known:
            remote = self.ask({"get": known["f"]})
            known = target(remote)
        return {"o": known["o"]}

    def _find(self, data: dict[str, Any]) -> Any:
        sort, number = data.get("is"), int(data["o"])
        if sort == "exception":
            return self._exception([str(kind) for kind in data["x"]])
        if number not in self._remotes:
            self._remotes[number] = SORTS[str(sort)](self, {"o": number}, str(data["k"])[:80])
        return self._remotes[number]

    def _exception(self, lineage: list[str]) -> type[Exception]:
        """Return a class that the tests may catch; none that would catch what the tests themselves assert."""
        kind = exceptions.kind_of(lineage, self._exceptions)
        if kind is None or issubclass(AssertionError, kind):
            raise values.NotPlain(f"the program calls {lineage[0]} an exception of its own")
        return kind

    def _send(self, message: dict[str, Any]) -> None:
        try:
            if not self._channel.is_empty():
                self.fail("the program answered before it was asked")
            self._channel.send(message)
        except OSError:
            report(gone=True)

    def _receive(self) -> dict[str, Any]:
        """Return the next answer; a program that is gone ends the tests here, so that no test can catch that."""
        try:
            answer = self._channel.receive()
        except (EOFError, OSError):
            report(gone=True)
        except frames.BrokenFrame as error:
            self.fail(f"the program broke the protocol: {error}")
        if not isinstance(answer, dict):
            self.fail("the program broke the protocol")
        return answer


def _change(old: Any, new: Any) -> None:
    """Make an argument what the program made of it; what is the same stays the same object all through."""
    if type(old) is not type(new):
        return
    if isinstance(old, (list, bytearray)):
        old[:] = new
    elif isinstance(old, deque):
        old.clear()
        old.extend(new)
    elif isinstance(old, dict):
        old.clear()
        dict.update(old, new)
    elif isinstance(old, set):
        old.clear()
        old |= new
