"""Rewards of stage 3 (§4.2.2): replies against their prompts' verifiers, in batches that end by a deadline.

A correct answer earns 1, a wrong one and an absent one 0. Where nobody can tell, because a verifier was late, broke or
found the case out of its reach, there is no reward and the reply takes no part in training: a timeout is never a wrong
answer in silence.
"""

import logging
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.query import Message, Query, ReferenceOrigin, Role, VerifierKind, VerifierSpec
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Status, Verdict
from kat_data.errors import ConfigError, SandboxMissing, VerifierFault
from kat_data.sandbox.open import open_sandbox
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.math.pool import MathPool
from trainers.replies import Reply, read

logger = logging.getLogger(__name__)

LATE: Final = "late"
FAULT: Final = "fault"
ABSENT: Final = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How replies are verified: at most `deadline_s` a batch, in `threads` threads beside `processes` for maths.

    Programs need a sandbox that isolates them: `docker` or `bwrap`, with `sandbox_slots` side by side.
    """

    deadline_s: float = 120.0
    threads: int = 8
    processes: int = 2
    sandbox: Literal["docker", "bwrap"] | None = None
    sandbox_slots: int = 4

    def verifiers(self) -> Verifiers:
        """Return verifiers whose processes start when they are first needed."""
        return Verifiers(MathPool(self.processes), self._open)

    def _open(self) -> Any:
        if self.sandbox is None:
            raise SandboxMissing("programs are verified in a sandbox: set verification.sandbox to docker or bwrap")
        return open_sandbox(self.sandbox, slots=self.sandbox_slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One reply to verify: the prompt's number, the query that it stands for, and the reply, none where malformed."""

    prompt: int
    query: Query
    reply: Reply | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a reply earned, none where nobody could tell; `why` is a verdict's status, or `absent`, `late`, `fault`."""

    reward: float | None
    why: str


class Rewards:
    """Scores batches of replies; the same threads and processes serve every batch, and `close` ends them."""

    def __init__(self, verifiers: Verifiers, *, deadline_s: float, threads: int) -> None:
        self._verifiers, self._deadline = verifiers, deadline_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="reward")

    def score(self, tasks: Sequence[Task]) -> list[Score]:
        """Return a score for each task by the deadline; equal replies to one prompt are verified once.

        Raises `VerifierFault` where every verification of the batch breaks.
        """
        jobs: dict[Hashable, Future[Score]] = {}
        for task in tasks:
            if task.reply is not None and (key := _key(task)) not in jobs:
                jobs[key] = self._threads.submit(self._verify, task.query, task.reply)
        done, late = wait(jobs.values(), timeout=self._deadline)
        for job in late:
            job.cancel()
        scores = {key: job.result() if job in done else Score(reward=None, why=LATE) for key, job in jobs.items()}
        if scores and all(score.why == FAULT for score in scores.values()):
            raise VerifierFault(f"all {len(scores)} verifications of a batch broke: see the log above for the first")
        absent = Score(reward=0.0, why=ABSENT)
        return [absent if task.reply is None else scores[_key(task)] for task in tasks]

    def close(self) -> None:
        """Drop what waits, let verifications under way run into their own limits, and end all processes."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._verifiers.close()

    def _verify(self, query: Query, reply: Reply) -> Score:
        candidate = Candidate(
            position=0, mode=reply.mode, model="", answer=reply.answer, calls=(), tool_calls=reply.tool_calls
        )
        try:
            verdict = self._twice(query, candidate)
        except Exception:  # a reply that no verifier was made for must not end a run of days
            logger.exception("a verifier of the kind %s broke", query.verifier and query.verifier.kind)
            return Score(reward=None, why=FAULT)
        if verdict.status is Status.UNPARSABLE:
            return Score(reward=0.0, why=ABSENT)
        return Score(reward=verdict.reward, why=verdict.status.value)

    def _twice(self, query: Query, candidate: Candidate) -> Verdict:
        try:
            verdict = self._verifiers.verify(query, candidate)
        except VerifierFault:
            verdict = self._verifiers.verify(query, candidate)
        assert verdict is not None
        return verdict


class Accuracy:
    """The reward function that TRL calls: accuracies of completions, none where nobody could tell."""

    __name__ = "accuracy"

    def __init__(self, rewards: Rewards) -> None:
        self._rewards = rewards

    def __call__(
        self, *, completions: Sequence[str], row: Sequence[int], log_metric: Any = None, **columns: Sequence[Any]
    ) -> list[float | None]:
        """Score completions, which are texts; `columns` are those of the dataset."""
        queries: dict[int, Query] = {}
        for place, number in enumerate(row):
            if number not in queries:
                queries[number] = query_of({name: columns[name][place] for name in COLUMNS})
        tasks = [Task(prompt=n, query=queries[n], reply=read(text)) for n, text in zip(row, completions, strict=True)]
        scores = self._rewards.score(tasks)
        if log_metric is not None:
            said = Counter(score.why for score in scores)
            log_metric("verify/undecided", sum(score.reward is None for score in scores) / len(scores))
            for why in (LATE, FAULT, ABSENT):
                log_metric(f"verify/{why}", said[why] / len(scores))
        return [score.reward for score in scores]


COLUMNS: Final = ("messages", "category", "verifier", "tools")
"""The columns that `query_of` reads; `messages` is a stage-3 row's prompt."""


def query_of(row: Mapping[str, Any]) -> Query:
    """Return a stage-3 row as the query that its verifier knows."""
    spec = row["verifier"]
    return Query(
        messages=tuple(map(_message, row["messages"])),
        category=Category(row["category"]),
        source="",
        licence="",
        tools=tuple(orjson.loads(row["tools"])),
        reference=spec["reference"],
        reference_origin=ReferenceOrigin(spec["reference_origin"]),
        verifier=VerifierSpec(kind=VerifierKind(spec["kind"]), options=orjson.loads(spec["options"])),
    )


def unusable(row: Mapping[str, Any]) -> str | None:
    """Return why a stage-3 row can reward nobody, none where it can."""
    if row["verifier"] is None:
        return "without a verifier"
    if row["verifier"]["reference_origin"] == ReferenceOrigin.SOFT:
        return "with a reference that models agreed on, which is no reward"
    return None


def require_sandbox(kinds: Mapping[str, int], verification: Verification) -> None:
    """Raise `ConfigError` where there are programs to verify and no sandbox is named, `SandboxMissing` where it is bad.

    `kinds` has the number of rows of each kind of verifier.
    """
    programs = kinds.get(VerifierKind.CODE, 0)
    if programs and verification.sandbox is None:
        raise ConfigError(f"{programs} rows need their programs run: set verification.sandbox to docker or bwrap")
    if programs and verification.sandbox:
        open_sandbox(verification.sandbox).close()  # better now than at the first program, hours from here


def _key(task: Task) -> Hashable:
    assert task.reply is not None
    calls = tuple((call.name, orjson.dumps(call.arguments)) for call in task.reply.tool_calls)
    return task.prompt, task.reply.answer, calls


def _message(message: Mapping[str, Any]) -> Message:
    calls = tuple(
        ToolCall(name=call["function"]["name"], arguments=orjson.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    )
    return Message(role=Role(message["role"]), content=message["content"] or "", tool_calls=calls)
