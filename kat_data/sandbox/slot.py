"""The host's side of one slot: requests to the supervisor inside, and nothing believed that cannot be."""

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import orjson

from kat_data.errors import CompilerMissing
from kat_data.sandbox import boot
from kat_data.sandbox.base import Call, Called, Ending, Language, Program, Raised, Ran, Returned, Suite, Tested
from kat_data.sandbox.inside import frames, values

_START_SECONDS = 30.0
_GRACE_SECONDS = 15.0
_COMPILING_SECONDS = 10.0
_CLEARING_SECONDS = 15.0
_FRAME_SLACK = 1 << 20
# A program that waits for a processor, which others hold, may take so many wall limits more.
_STARVED = 2.0
INPUTS_AT_ONCE = 8
SAID = 2000
_BATCH_BYTES = 16 << 20
Made = TypeVar("Made")


class SlotLost(Exception):
    """A slot was killed, broke its protocol or went silent: nothing can be said of the program in it."""


class Pipe(Protocol):
    """Bytes to and from a slot."""

    def send(self, data: bytes) -> None: ...

    def receive(self, seconds: float) -> bytes:
        """Return some bytes, or none where the other side is gone; `TimeoutError` after `seconds`."""
        ...

    def said(self) -> bytes:
        """Return the last `SAID` bytes of the slot's own words on standard error, where no program can write."""
        ...

    def close(self) -> None:
        """End the slot, with every process in it."""
        ...


class Slot:
    """One slot that holds one program at a time; every method but `close` raises `SlotLost` where the slot fails."""

    def __init__(self, pipe: Pipe, config: dict[str, Any]) -> None:
        self._pipe = pipe
        self._data = bytearray()
        self._program = Program(source="")
        self._ending = False
        self.programs = 0
        self.worn = False
        try:
            self._send(boot.payload(config))
            first = self._receive(_START_SECONDS, _FRAME_SLACK)
        except BaseException:
            pipe.close()
            raise
        self.python = str(first["python"])
        self._compiler = bool(first.get("compiler"))

    def load(self, program: Program) -> None:
        """Put a program into the slot, once the one before is known to be gone without a trace."""
        if program.language is Language.CPP and not self._compiler:
            raise CompilerMissing("The sandbox has no g++ for C++: install it there, or take the standard image.")
        self.settle()
        self._program = program
        self.programs += 1
        limits = program.limits
        self._request(
            "load",
            source=program.source,
            language=program.language.value,
            limits={
                "wall_s": limits.wall_s,
                "starved_s": limits.wall_s * _STARVED,
                "memory_mb": limits.memory_mb,
                "output_bytes": limits.output_bytes,
                "pids": limits.pids,
            },
        )

    def run(self, inputs: Sequence[bytes]) -> list[Ran]:
        found: list[Ran] = []
        for batch in _batches(inputs):
            found += self._run(batch)
            if not found[-1].clean:
                break
        return found

    def _run(self, inputs: Sequence[bytes]) -> list[Ran]:
        self._request("run", inputs=[base64.b64encode(given).decode() for given in inputs])
        limits = self._program.limits
        seconds = (self._longest + _CLEARING_SECONDS) * len(inputs) + limits.wall_s  # for compiling
        answer = self._answer(seconds, limits.output_bytes * len(inputs))
        return self._shaped(answer, lambda given: [self._ran(run) for run in given["runs"]])

    def _shaped(self, answer: dict[str, Any], build: Callable[[dict[str, Any]], Made]) -> Made:
        """Build a record of an answer; one that lacks something was not sent by a sound slot."""
        try:
            return build(answer)
        except (LookupError, ValueError, TypeError, AttributeError, frames.BrokenFrame) as error:
            raise SlotLost(f"the slot broke its protocol: {error}") from error

    def _ran(self, run: dict[str, Any]) -> Ran:
        return Ran(
            ending=self._ended(run),
            code=run["code"],
            stdout=base64.b64decode(run["stdout"]),
            stderr=_text(run["stderr"]),
            seconds=run["seconds"],
            compiled=run.get("compiled", True),
        )

    def call(self, calls: Sequence[Call]) -> Called:
        self._request("call", calls=[_encoded(call) for call in calls])
        answer = self._answer(self._longest, self._program.limits.output_bytes)
        return self._shaped(answer, lambda given: self._called(given, calls))

    @property
    def _longest(self) -> float:
        return self._program.limits.wall_s * (1 + _STARVED)

    def _called(self, answer: dict[str, Any], calls: Sequence[Call]) -> Called:
        sent = frames.split(base64.b64decode(answer["answers"]))
        outcomes = [_outcome(data, call) for data, call in zip(sent, [Call(function=""), *calls], strict=False)]
        loaded = outcomes[0] if outcomes else None
        return Called(
            ending=self._ended(answer),
            code=answer["code"],
            outcomes=tuple(outcomes[1:]) if isinstance(loaded, Returned) else (),
            trouble=f"{loaded.error}: {loaded.message}" if isinstance(loaded, Raised) else "",
            stderr=_text(answer["stderr"]),
            seconds=answer["seconds"],
        )

    def test(self, suite: Suite) -> Tested:
        self._request("test", suite=_suite(suite))
        answer = self._answer(self._longest, self._program.limits.output_bytes)
        return self._shaped(answer, self._tested)

    def _tested(self, answer: dict[str, Any]) -> Tested:
        sent = frames.split(base64.b64decode(answer["report"]))
        report = frames.unpack(sent[0]) if sent else {}
        tester, (ending, code) = self._ended(answer), answer["program"]
        gone = not report or "gone" in report
        own = Ending(ending) if gone and tester is Ending.EXITED else tester
        if own is Ending.TIMEOUT and tester is Ending.EXITED:  # it lives, but closed its side
            own, code = Ending.EXITED, 0
        self.worn = self.worn or own is not Ending.EXITED
        return Tested(
            ending=own,
            code=code if gone else 0,
            passed=report.get("passed") is True,
            done=report.get("done", 0),
            failure=_text(report.get("failure", "")) or ("the program ended before the tests did" if gone else ""),
            fault=report.get("fault", False),
            stderr=_text(answer["stderr"]),
            seconds=answer["seconds"],
        )

    def end(self) -> None:
        """Ask that the program's traces be removed; the next `load` waits for that."""
        self._request("end")
        self._ending = True

    def settle(self) -> None:
        """Wait until the last program is gone; `SlotLost` where something of it stays."""
        if self._ending:
            self._ending = False
            if self._answer(0.0, 0).get("clean") is not True:
                raise SlotLost("something of the last program cannot be removed")

    def close(self) -> None:
        """End the slot and everything in it."""
        self._pipe.close()

    def _ended(self, answer: dict[str, Any]) -> Ending:
        ending = Ending(answer["ending"])
        self.worn = self.worn or ending is not Ending.EXITED
        return ending

    def _request(self, op: str, **values: Any) -> None:
        self._send(frames.pack({"op": op, **values}))

    def _send(self, data: bytes) -> None:
        try:
            self._pipe.send(data)
        except OSError as error:
            raise SlotLost(f"the slot is gone: {error}{self._last_words()}") from error

    def _answer(self, seconds: float, size: int) -> dict[str, Any]:
        answer = self._receive(seconds + _COMPILING_SECONDS + _GRACE_SECONDS, size * 2 + _FRAME_SLACK)
        if "broken" in answer:
            raise SlotLost(str(answer["broken"]))
        return answer

    def _receive(self, seconds: float, limit: int) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            if len(self._data) >= frames.LENGTH.size:
                (length,) = frames.LENGTH.unpack_from(self._data)
                if length > limit:
                    raise SlotLost("the slot broke its protocol")
                if len(self._data) >= length + frames.LENGTH.size:
                    frame = bytes(self._data[frames.LENGTH.size : frames.LENGTH.size + length])
                    del self._data[: frames.LENGTH.size + length]
                    return self._message(frame)
            try:
                chunk = self._pipe.receive(max(0.0, end - time.monotonic()))
            except (OSError, TimeoutError) as error:
                raise SlotLost(f"the slot is silent: {error}{self._last_words()}") from error
            if not chunk:
                raise SlotLost(f"the slot ended{self._last_words()}")
            self._data += chunk

    def _last_words(self) -> str:
        lines = _text(self._pipe.said().decode("utf-8", "replace")).split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; it said: {said[-300:]}" if said else ""

    @staticmethod
    def _message(frame: bytes) -> dict[str, Any]:
        try:
            message = orjson.loads(frame)
        except orjson.JSONDecodeError as error:
            raise SlotLost(f"the slot broke its protocol: {error}") from error
        if not isinstance(message, dict):
            raise SlotLost("the slot broke its protocol")
        return message


def _batches(inputs: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut inputs into batches that the supervisor can hold beside the program."""
    batch: list[bytes] = []
    for given in inputs:
        if batch and (len(batch) == INPUTS_AT_ONCE or sum(map(len, batch)) + len(given) > _BATCH_BYTES):
            yield batch
            batch = []
        batch.append(given)
    if batch:
        yield batch


def _suite(suite: Suite) -> dict[str, Any]:
    return {
        "tests": list(suite.tests),
        "entry": suite.entry,
        "names": list(suite.names),
        "prelude": suite.prelude,
    }


def _encoded(call: Call) -> dict[str, Any]:
    return {
        "f": call.function,
        "a": [values.encode(argument) for argument in call.arguments],
        "k": {name: values.encode(value) for name, value in call.keywords.items()},
    }


def _outcome(data: bytes, call: Call) -> Returned | Raised:
    """Read one answer of a program's own process, which may hold anything."""
    try:
        answer = frames.unpack(data)
        if "e" in answer:
            return Raised(error=_text(answer["e"])[:80], message=_text(answer.get("m", ""))[:300])
        arguments = list(call.arguments)
        for index, changed in answer.get("a", ()):
            arguments[index] = values.decode(changed)
        return Returned(value=values.decode(answer["v"]), arguments=tuple(arguments))
    except (frames.BrokenFrame, values.NotPlain, LookupError, TypeError, ValueError, AttributeError) as error:
        return Raised(error="NotPlain", message=_text(error)[:300])


def _text(words: Any) -> str:
    """Return words of a program as text that every file and table can hold."""
    return str(words).encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
