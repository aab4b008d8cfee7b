"""What the host makes of a slot's answers, hostile ones included: a scripted pipe stands for the slot."""

import base64
from typing import Any

import pytest

from kat_data.errors import SandboxFault, SandboxMissing
from kat_data.sandbox.bare import ProcessPipe
from kat_data.sandbox.base import Call, Ending, Language, Program, Raised, Returned, Suite
from kat_data.sandbox.inside import frames
from kat_data.sandbox.pool import SlotPool
from kat_data.sandbox.slot import Slot, SlotLost


class ScriptedPipe:
    """Answers with given bytes, a piece at a time."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [frames.pack({"python": "3.11"}), *pieces]
        self.sent = b""
        self.closed = False

    def send(self, data: bytes) -> None:
        self.sent += data

    def receive(self, seconds: float) -> bytes:
        if not self.pieces:
            raise TimeoutError("no answer")
        return self.pieces.pop(0)

    def said(self) -> bytes:
        return b"Traceback:\n  ...\nMemoryError: \xff\n"

    def close(self) -> None:
        self.closed = True


def slot(*pieces: bytes) -> Slot:
    made = Slot(ScriptedPipe(*pieces), {})
    made.load(Program(source=""))
    return made


def answer(**values: Any) -> bytes:
    usual = {"ending": "exited", "code": 0, "seconds": 0.1, "stdout": "", "stderr": ""}
    return frames.pack({**usual, **values})


def answers(*messages: Any) -> bytes:
    data = b"".join(frames.pack(message) for message in messages)
    return answer(answers=base64.b64encode(data).decode())


def test_an_answer_may_come_in_any_pieces() -> None:
    data = answers({"v": None}, {"v": 3})
    called = slot(*(data[i : i + 1] for i in range(len(data)))).call([Call(function="f")])
    assert called.outcomes == (Returned(value=3, arguments=()),)


@pytest.mark.parametrize(
    "message",
    [
        3, [], "x", {}, {"v": {"q": 1}}, {"v": {"i": "zz"}}, {"v": 1, "a": [[7, 1]]}, {"v": 1, "a": 3},
        {"v": 1, "a": [[0]]}, {"v": {"s": [[1]]}}, {"v": 1, "a": [["x", 1]]}, {"a": []},
    ],
)  # fmt: skip
def test_a_forged_answer_is_a_call_that_raised(message: Any) -> None:
    called = slot(answers({"v": None}, message)).call([Call(function="f", arguments=(1,))])
    [outcome] = called.outcomes
    assert isinstance(outcome, Raised)
    assert outcome.error == "NotPlain"


def test_more_answers_than_calls_are_not_believed() -> None:
    called = slot(answers({"v": None}, {"v": 1}, {"v": 2}, {"v": 3})).call([Call(function="f")])
    assert [outcome.value for outcome in called.outcomes if isinstance(outcome, Returned)] == [1]


def test_no_answer_at_all_is_no_outcome() -> None:
    assert slot(answers()).call([Call(function="f")]).outcomes == ()
    assert slot(answers({"e": "SyntaxError", "m": "bad"})).call([Call(function="f")]).trouble == "SyntaxError: bad"


@pytest.mark.parametrize(
    ("report", "program", "ending", "passed"),
    [
        ({"passed": True, "done": 1}, ["timeout", 9], Ending.EXITED, True),
        ({"passed": 1, "done": 1}, ["timeout", 9], Ending.EXITED, False),
        ({"done": 0, "failure": "x"}, ["timeout", 9], Ending.EXITED, False),
        ({"gone": True}, ["signalled", 11], Ending.SIGNALLED, False),
        ({"gone": True}, ["exited", 0], Ending.EXITED, False),
        ({"gone": True}, ["timeout", 9], Ending.EXITED, False),
        (None, ["memory", 9], Ending.MEMORY, False),
    ],
)
def test_only_the_testers_word_passes(report: Any, program: list[Any], ending: Ending, passed: bool) -> None:
    sent = base64.b64encode(frames.pack(report) if report else b"").decode()
    tested = slot(answer(report=sent, program=program)).test(Suite(tests=("assert True",)))
    assert (tested.ending, tested.passed) == (ending, passed)


def test_only_usual_ends_leave_a_slot_fit_for_another_program() -> None:
    for ending, worn in (("exited", False), ("timeout", True), ("memory", True), ("signalled", True)):
        one = slot(frames.pack({"runs": [frames.unpack(answer(ending=ending)[4:])]}))
        one.run([b""])
        assert one.worn is worn


@pytest.mark.parametrize(
    "pieces",
    [(), (b"",), (b"\xff\xff\xff\xff",), (b"\x00\x00\x00\x01{",), (frames.pack({"broken": "the zygote is gone"}),)],
)
def test_a_slot_that_is_gone_silent_or_broken_is_lost(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(SlotLost):
        slot(*pieces).run([b""])


def test_a_program_waits_until_the_last_one_is_gone() -> None:
    for clean in (True, False):
        one = slot(frames.pack({"clean": clean}))
        one.end()
        if clean:
            one.load(Program(source=""))
        else:
            with pytest.raises(SlotLost, match="cannot be removed"):
                one.load(Program(source=""))


def test_lost_slots_are_replaced_and_at_last_a_fault() -> None:
    pipes: list[ScriptedPipe] = []

    def start(_: int) -> Slot:
        good = len(pipes) == 2
        pipes.append(ScriptedPipe(*([frames.pack({"runs": [frames.unpack(answer()[4:])]})] if good else [])))
        return Slot(pipes[-1], {})

    pool = SlotPool(start, size=1, name="scripted", trusted=True)
    [ran] = pool.judge(Program(source=""), lambda loaded: loaded.run([b""]))
    assert ran.clean
    assert [pipe.closed for pipe in pipes] == [True, True, False]
    with pytest.raises(SandboxFault, match="lost 3 slots with one program, at last because the slot is silent"):
        pool.judge(Program(source=""), lambda loaded: loaded.run([b""]))
    assert all(pipe.closed for pipe in pipes)


def test_the_start_of_a_slot_is_waiting_and_its_work_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("kat_data.sandbox.pool.time.monotonic", lambda: now[0])

    def start(_: int) -> Slot:
        now[0] += 5
        return Slot(ScriptedPipe(), {})

    def work(_: object) -> None:
        now[0] += 3
        raise ZeroDivisionError

    pool = SlotPool(start, size=1, name="scripted", trusted=True)
    with pytest.raises(ZeroDivisionError):
        pool.judge(Program(source=""), work)
    assert pool.waited == 5


def test_an_error_of_the_caller_closes_its_slot_and_comes_through() -> None:
    pipe = ScriptedPipe()
    pool = SlotPool(lambda _: Slot(pipe, {}), size=1, name="scripted", trusted=True)
    with pytest.raises(ZeroDivisionError):
        pool.judge(Program(source=""), lambda _: 1 // 0)
    assert pipe.closed


def test_a_slot_that_does_not_boot_is_closed() -> None:
    pipe = ScriptedPipe()
    pipe.pieces = [b""]
    with pytest.raises(SlotLost, match="the slot ended; it said: MemoryError: \N{REPLACEMENT CHARACTER}"):
        Slot(pipe, {})
    assert pipe.closed


@pytest.mark.parametrize("script", ["echo why >&2", "echo why >&2; head -c 4 >/dev/null", "echo why >&2; exec <&-"])
def test_what_a_process_said_before_it_was_no_slot_stands_in_the_error(script: str) -> None:
    with pytest.raises(SlotLost, match="; it said: why"):
        Slot(ProcessPipe(["sh", "-c", script]), {})


def test_words_of_a_program_can_be_stored_anywhere() -> None:
    called = slot(answers({"v": None}, {"e": "ValueError", "m": "\ud800 \0"})).call([Call(function="f")])
    [raised] = called.outcomes
    assert isinstance(raised, Raised)
    assert raised.message.encode() == "? \N{REPLACEMENT CHARACTER}".encode()


@pytest.mark.parametrize("message", [{}, {"runs": 3}, {"runs": [{}]}, {"runs": [{"ending": "flew"}]}])
def test_an_answer_of_another_shape_is_a_lost_slot(message: dict[str, Any]) -> None:
    with pytest.raises(SlotLost, match="broke its protocol"):
        slot(frames.pack(message)).run([b""])


def test_a_sandbox_without_a_compiler_says_so() -> None:
    with pytest.raises(SandboxMissing, match=r"no g\+\+ for C\+\+"):
        slot().load(Program(source="", language=Language.CPP))
