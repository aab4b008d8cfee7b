"""One chain of solver, thinker and critic (§3.2): rounds of improvement, then one voice."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kat_data.domain.candidate import Candidate, Round
from kat_data.domain.draft import Draft
from kat_data.domain.mode import Mode
from kat_data.domain.text import normalise
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import BadReply, ReplyMalformed
from kat_data.llm.model import Model
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.answering import (
    Written,
    answer_form,
    ask_calls,
    complete,
    shown,
    tool_lines,
    unreadable,
    write_answer,
)
from kat_data.stages.parts.asking import ask_first
from kat_data.stages.parts.assessing import CRITIC, RECORD, by_verifier, off_record
from kat_data.stages.parts.replies import CriticReply
from kat_data.stages.parts.thinking import split_headed, split_tagged
from kat_data.stages.stage import Verify

WRONG = "The final answer does not hold; look again."
UNREADABLE = "The final answer cannot be read; state it in the form that the task asks for."

_WEAVE_DRAWS = 2
_APART = 64  # samples between the chains of one turn, so that none is paid with another's calls
_LEAST_SHARE = 0.5  # of the longest note, in characters
_SHORT_CHARS = 200  # notes up to this length may be left shorter still
_OPENING_CHARS = 80
_REFUSAL = re.compile(
    r"\b(?:sorry|can(?:no|')t (?:assist|help)|unable to (?:assist|help))\b|抱歉|对不起|无法(?:回答|协助)", re.IGNORECASE
)
_ROLES = re.compile(r"\b(?:solver|critic|reviewer|thinker|the notes|previous attempt|the attempt)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who plays in a chain; critics are asked in turn until one replies."""

    solver: Model
    thinker: Model
    critics: tuple[Model, ...]


class Chain:
    """The state of one chain while it runs: every step goes to `rounds`, and the best answer so far is kept.

    `run` returns the candidate. It has thinking, and so can become a sample, only if the verifier accepts the answer,
    or if the critic passes it where no verifier applies. Chains of one turn differ by their `position`.
    """

    def __init__(self, draft: Draft, cast: Cast, verify: Verify, position: int = 0) -> None:
        self._draft = draft
        self._cast = cast
        self._verify = verify
        self._position = position
        self._sample = position * _APART
        self._rounds: list[Round] = []
        self._calls: list[str] = []
        self._noted = 0  # rounds up to the accepted answer: what the writer is shown

    async def run(self, limit: int) -> Candidate:
        try:
            answer, verdict = await self._deliberate(limit)
            thinking = await self._weave(answer) if verdict.outcome is Outcome.CORRECT else ""
        except BadReply as error:
            self._calls += error.calls
            candidate = unreadable(error, model=self._cast.thinker.name, mode=Mode.ON, position=self._position)
            return replace(candidate, calls=tuple(self._calls), rounds=tuple(self._rounds))
        candidate = replace(self._candidate(answer), thinking=thinking, verdicts=(verdict,))
        return replace(candidate, calls=tuple(self._calls), rounds=tuple(self._rounds))

    async def _deliberate(self, limit: int) -> tuple[Written, Verdict]:
        """Return the last accepted answer, else the last one, with its verdict; the critic ends it, or the limit."""
        answer = await self._solve()
        findings: tuple[str, ...] = ()
        accepted = await self._solved(answer)
        for number in range(limit):
            try:
                answer, review, verdict = await self._round(answer, findings, number)
            except BadReply as error:
                if accepted is None:
                    raise
                self._calls += error.calls
                break
            if verdict.outcome is Outcome.CORRECT:
                accepted = answer, verdict
                self._noted = len(self._rounds)
            if (review.passed and accepted) or verdict.status is Status.NOT_VERIFIED:
                break
            findings = self._rounds[-1].findings
        return accepted or (answer, verdict)

    async def _solved(self, answer: Written) -> tuple[Written, Verdict] | None:
        """The solver's own answer where the verifier accepts it, so that no later round can lose it."""
        if not self._draft.decides(candidate := self._candidate(answer)):
            return None
        verdict = await by_verifier(self._draft, candidate, self._verify)
        if verdict.outcome is not Outcome.CORRECT:
            return None
        self._noted = len(self._rounds)
        return answer, verdict

    async def _round(
        self, attempt: Written, findings: tuple[str, ...], number: int
    ) -> tuple[Written, CriticReply, Verdict]:
        answer = await self._improve(attempt, findings, number)
        review = await self._criticise(answer, number)
        verdict = await self._judge(answer, review)
        if hint := self._hint(verdict):
            self._rounds[-1] = replace(self._rounds[-1], findings=(*review.findings, hint))
        return answer, review, verdict

    async def _solve(self) -> Written:
        written = await write_answer(self._draft, self._cast.solver, reasoned=False, brief=False, sample=self._sample)
        return self._spoken("solver", written, shown(written))

    async def _improve(self, attempt: Written, findings: tuple[str, ...], number: int) -> Written:
        written = await self._reflect(attempt, findings, number)
        return self._spoken("thinker", written, f"{written.thinking}\n\n{shown(written)}".strip())

    async def _reflect(self, attempt: Written, findings: tuple[str, ...], number: int) -> Written:
        thinker, tools = self._cast.thinker, self._draft.tools
        number += self._sample
        known = {"conversation": self._draft.transcript, "attempt": shown(attempt), "findings": findings}
        if tools:
            messages = load_prompt("improve_calls.v1").messages(tools=tool_lines(tools), **known)
            goes_on = self._draft.answers_results
            called = await ask_calls(thinker, messages, tools, reasoned=True, sample=number, may_answer=goes_on)
            return complete(called, reasoned=False)
        reply = await thinker.chat(
            load_prompt("improve.v1").messages(**answer_form(self._draft), **known), sample=number
        )
        thinking, answer = split_headed(split_tagged(reply.reply.text)[1])
        written = Written(model=thinker.name, answer=normalise(answer), calls=reply.calls, thinking=normalise(thinking))
        return complete(written, reasoned=False)

    async def _criticise(self, answer: Written, number: int) -> CriticReply:
        messages = load_prompt("criticise.v1").messages(conversation=self._draft.transcript, answer=shown(answer))
        opinion = await ask_first(self._cast.critics, messages, CriticReply, sample=self._sample + number)
        if opinion is None:
            raise ReplyMalformed("no critic gave a usable review")
        review = opinion.value
        self._add("critic", opinion.model, review.check, opinion.calls, findings=review.findings, passed=review.passed)
        return review

    async def _judge(self, answer: Written, review: CriticReply) -> Verdict:
        candidate = self._candidate(answer)
        if verdict := off_record(self._draft, candidate):
            return verdict
        if self._draft.decides(candidate):
            return await by_verifier(self._draft, candidate, self._verify)
        outcome = Outcome.CORRECT if review.passed else Outcome.INCORRECT
        status = Status.ENDORSED if review.passed else Status.OBJECTED
        return Verdict(outcome=outcome, status=status, verifier=CRITIC, evidence={"findings": list(review.findings)})

    def _hint(self, verdict: Verdict) -> str | None:
        """What the thinker hears of the verifier: never the reference, nor how far off the answer is."""
        if verdict.verifier in {CRITIC, RECORD} or verdict.status is Status.NOT_VERIFIED:
            return None
        return {Outcome.INCORRECT: WRONG, Outcome.UNDECIDED: UNREADABLE}.get(verdict.outcome)

    async def _weave(self, answer: Written) -> str:
        """Write the rounds as the thoughts of one mind that arrives at `answer`, whose text stays as it was judged."""
        notes = [
            note
            for step in self._rounds[: self._noted]
            for note in (step.text if step.role != "critic" else "", *step.findings)
            if note
        ]
        messages = load_prompt("weave.v1").messages(
            conversation=self._draft.transcript, notes=notes, answer=shown(answer)
        )
        for draw in range(_WEAVE_DRAWS):
            reply = await self._cast.thinker.chat(messages, sample=self._sample + draw)
            thinking = normalise(split_tagged(reply.reply.text)[1])
            self._add("writer", self._cast.thinker.name, thinking, reply.calls)
            if (flaw := self._flaw(thinking, notes)) is None:
                return thinking
        raise ReplyMalformed(f"the thinking {flaw}")

    def _flaw(self, thinking: str, notes: Sequence[str]) -> str | None:
        """Return why `thinking` is not the notes in one voice: it refuses, leaves most of them out, or names roles."""
        if _REFUSAL.search(thinking[:_OPENING_CHARS]):
            return "refuses the task"
        longest = max(len(note) for note in notes)
        if longest > _SHORT_CHARS and len(thinking) < _LEAST_SHARE * longest:
            return "leaves out most of the notes"
        task = self._draft.user_text.lower()
        if any(hit.group().lower() not in task for hit in _ROLES.finditer(thinking)):
            return "speaks of several minds"
        return None

    def _spoken(self, role: str, written: Written, text: str) -> Written:
        self._add(role, written.model, text, written.calls)
        return written

    def _add(
        self,
        role: str,
        model: str,
        text: str,
        calls: tuple[str, ...],
        findings: tuple[str, ...] = (),
        passed: bool | None = None,
    ) -> None:
        self._calls += calls
        self._rounds.append(Round(role=role, model=model, text=text, call=calls[-1], findings=findings, passed=passed))

    def _candidate(self, answer: Written) -> Candidate:
        return Candidate(
            position=self._position,
            mode=Mode.ON,
            model=answer.model,
            answer=answer.answer,
            calls=answer.calls,
            tool_calls=answer.tool_calls,
        )
