"""Code: the program in an answer must pass its task's tests in a sandbox; without one nothing is verified."""

from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import InputError
from kat_data.sandbox.base import Language, Sandbox
from kat_data.verifiers.code.admission import admit
from kat_data.verifiers.code.extract import program, prompt_head
from kat_data.verifiers.code.finding import TaskFault
from kat_data.verifiers.code.judge import CodeVerdict, judge_program
from kat_data.verifiers.code.task import CodeTask, task_of

_SHOWN = 2000
_NO_SANDBOX = "programs are not run without a sandbox: `kat sandbox check` says what is missing"


class CodeVerifier:
    """Decides whether the program in an answer passes its query's tests.

    Undecided, without a reward, are: `unparsable`, an answer without a program; `not_verified`, where there is no
    sandbox, the task is invalid, or the sandbox isolates nothing.
    """

    name = "code/2"

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Return the verdict; blocks while the program runs, raises `SandboxFault` where the sandbox breaks."""
        if self._sandbox is None:
            return self._undecided(Status.NOT_VERIFIED, {"why": "no sandbox", "note": _NO_SANDBOX})
        try:
            task = task_of(query)
        except InputError as error:
            return self._undecided(Status.NOT_VERIFIED, {"why": "invalid_task", "reason": str(error)})
        source = _program(query, task, candidate)
        if source is None:
            return self._undecided(Status.UNPARSABLE, {"reason": f"no {task.language.value} program in the answer"})
        return self._verdict(judge_program(self._sandbox, task, source), source)

    def admit(self, query: Query) -> str | None:
        """Return why the query's task cannot be used; none where it can be, or where no sandbox can tell."""
        if self._sandbox is None or not self._sandbox.trusted:
            return None
        try:
            task = task_of(query)
        except InputError as error:
            return str(error)
        return admit(self._sandbox, task, query.reference).reason or None

    def _verdict(self, found: CodeVerdict, source: str) -> Verdict:
        if isinstance(found.verdict, TaskFault):
            return self._undecided(Status.NOT_VERIFIED, {"why": found.verdict.value} | found.evidence)
        if found.reward is None:
            why = {"why": "untrusted sandbox", "verdict": found.verdict.value}
            return self._undecided(Status.NOT_VERIFIED, why | found.evidence)
        return Verdict(
            outcome=Outcome.CORRECT if found.verdict is Status.PASSED else Outcome.INCORRECT,
            status=found.verdict,
            verifier=self.name,
            evidence=found.evidence | {"program": source[:_SHOWN]},
        )

    def _undecided(self, status: Status, evidence: dict[str, Any]) -> Verdict:
        return Verdict(outcome=Outcome.UNDECIDED, status=status, verifier=self.name, evidence=evidence)


def _program(query: Query, task: CodeTask, candidate: Candidate) -> str | None:
    shown = query.user_turns[-1] if query.user_turns else ""
    head = prompt_head(shown, task.entry) if task.language is Language.PYTHON else ""
    return program(candidate.answer, language=task.language, entry=task.entry, head=head)
