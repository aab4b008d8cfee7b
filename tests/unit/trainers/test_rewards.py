import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Query, ReferenceOrigin, Role, VerifierKind, VerifierSpec
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import ConfigError, SandboxMissing, VerifierFault
from kat_data.hashing import canonical_json
from tests.unit.trainers.toy import template_text
from trainers.replies import Reply
from trainers.rewards import Accuracy, Rewards, Score, Task, Verification, query_of, require_sandbox, unusable


def row(kind: str, reference: str | None, user: str = "What?", **options: Any) -> dict[str, Any]:
    spec = {"kind": kind, "reference": reference, "reference_origin": "source", "options": canonical_json(options)}
    return {
        "messages": [{"role": "user", "content": user, "tool_calls": None, "tool_call_id": None, "name": None}],
        "category": "math",
        "verifier": spec | {"options": spec["options"].decode()},
        "tools": "[]",
    }


def reply(answer: str) -> Reply:
    return Reply(mode=Mode.OFF, thinking="", answer=answer)


@pytest.fixture
def rewards() -> Iterator[Rewards]:
    made = Rewards(Verification(processes=1, threads=2).verifiers(), deadline_s=60, threads=2)
    yield made
    made.close()


class Scripted:
    """Verifiers that do what each answer says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.free = threading.Event()

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        self.asked.append(candidate.answer)
        if candidate.answer == "slow":
            self.free.wait(30)
        if candidate.answer == "fault" or (candidate.answer == "once" and self.asked.count("once") == 1):
            raise VerifierFault("the verifier broke")
        if candidate.answer == "bug":
            raise RecursionError("nobody thought of that")
        return Verdict(outcome=Outcome.CORRECT, status=Status.CORRECT, verifier="scripted/1")

    def close(self) -> None:
        self.asked.append("closed")


def tasks(*answers: str | None) -> list[Task]:
    query = query_of(row("math", "2"))
    return [Task(prompt=0, query=query, reply=None if answer is None else reply(answer)) for answer in answers]


def test_the_real_verifiers_decide_by_the_rows_own_spec(rewards: Rewards) -> None:
    cases = [
        (row("math", "1/2"), "The answer is $\\frac{2}{4}$.", 1.0),
        (row("math", "1/2"), "2", 0.0),
        (row("math", "1/2"), "I do not know.", 0.0),  # an absent solution scores zero
        (row("math", "x^2-1"), "(x-1)(x+1)", 1.0),
        (row("choice", "B", choices=["red", "blue"]), "B", 1.0),
        (row("choice", "B", choices=["red", "blue"]), "A", 0.0),
        (row("keyword", None, keywords=["Paris"]), "It is Paris.", 1.0),
        (row("format", None, max_words=2), "far too many words", 0.0),
    ]
    found = rewards.score(
        [Task(prompt=n, query=query_of(given), reply=reply(text)) for n, (given, text, _) in enumerate(cases)]
    )
    assert [score.reward for score in found] == [wanted for *_, wanted in cases]


def test_what_is_malformed_is_an_absent_answer_and_costs_no_verification() -> None:
    verifiers = Scripted()
    rewards = Rewards(verifiers, deadline_s=5, threads=1)
    assert rewards.score(tasks(None)) == [Score(reward=0.0, why="absent")]
    assert verifiers.asked == []


def test_equal_answers_to_one_prompt_are_verified_once() -> None:
    verifiers = Scripted()
    found = Rewards(verifiers, deadline_s=5, threads=2).score(tasks("a", "b", "a", "a"))
    assert [score.reward for score in found] == [1.0] * 4
    assert sorted(verifiers.asked) == ["a", "b"]


def test_what_is_late_is_undecided_and_holds_up_nobody() -> None:
    verifiers = Scripted()
    rewards = Rewards(verifiers, deadline_s=0.3, threads=2)
    start = time.monotonic()
    found = rewards.score(tasks("slow", "quick"))
    assert time.monotonic() - start < 5
    assert found == [Score(reward=None, why="late"), Score(reward=1.0, why="correct")]
    assert rewards.score(tasks("next"))[0].reward == 1.0  # though one thread is still held
    verifiers.free.set()
    rewards.close()
    assert verifiers.asked[-1] == "closed"


def test_a_fault_is_tried_again_and_then_undecided(caplog: pytest.LogCaptureFixture) -> None:
    verifiers = Scripted()
    found = Rewards(verifiers, deadline_s=5, threads=1).score(tasks("once", "fault", "bug", "fine"))
    assert [score.why for score in found] == ["correct", "fault", "fault", "correct"]
    assert [score.reward for score in found] == [1.0, None, None, 1.0]
    assert "a verifier of the kind math broke" in caplog.text


def test_a_batch_in_which_every_verification_breaks_ends_the_run() -> None:
    with pytest.raises(VerifierFault, match="all 1 verifications of a batch broke"):
        Rewards(Scripted(), deadline_s=5, threads=1).score(tasks("fault", "fault"))


def test_completions_are_scored_as_trl_asks_for_it() -> None:
    noted: dict[str, float] = {}
    rows = [row("math", "2"), row("math", "2"), row("math", "2")]
    texts = [template_text(Mode.ON), template_text(Mode.OFF, answer="fault"), "no form"]
    columns = {name: [given[name] for given in rows] for name in rows[0]}
    accuracy = Accuracy(Rewards(Scripted(), deadline_s=5, threads=1))
    found = accuracy(
        prompts=["What?"] * 3,
        completions=texts,
        completion_ids=[[]] * 3,
        row=[0, 1, 2],
        log_metric=noted.__setitem__,
        **columns,
    )
    assert found == [1.0, None, 0.0]
    third = pytest.approx(1 / 3)
    assert noted == {"verify/undecided": third, "verify/late": 0.0, "verify/fault": third, "verify/absent": third}


def test_a_row_is_the_query_that_its_verifier_knows() -> None:
    given = row("code", None, tests=["assert f(1) == 2"], entry="f")
    given["messages"].append(
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "g", "arguments": '{"x":1}'}}],
        }
    )
    found = query_of(given)
    assert found.messages[0] == Message(role=Role.USER, content="What?")
    assert found.messages[1].tool_calls[0].arguments == {"x": 1}
    assert found.verifier == VerifierSpec(kind=VerifierKind.CODE, options={"tests": ["assert f(1) == 2"], "entry": "f"})
    assert (found.category, found.reference_origin) == (Category.MATH, ReferenceOrigin.SOURCE)


def test_rows_that_can_reward_nobody_are_named() -> None:
    soft = row("math", "2")
    soft["verifier"]["reference_origin"] = "soft"
    assert unusable(row("math", "2")) is None
    assert unusable({"verifier": None}) == "without a verifier"
    assert unusable(soft) == "with a reference that models agreed on, which is no reward"


def test_programs_without_a_sandbox_are_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(kind: str) -> None:
        raise SandboxMissing(f"The sandbox {kind} runs no program")

    monkeypatch.setattr("trainers.rewards.open_sandbox", missing)
    with pytest.raises(ConfigError, match="3 rows need their programs run: set verification"):
        require_sandbox(Counter(code=3, math=2), Verification())
    with pytest.raises(SandboxMissing, match="The sandbox bwrap runs no program"):
        require_sandbox(Counter(code=3), Verification(sandbox="bwrap"))
    require_sandbox(Counter(math=3), Verification(sandbox="bwrap"))
