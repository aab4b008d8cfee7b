"""Software-development trajectories (§4.1.2): a planner, a coder and a reviewer at work on one workspace."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.candidate import Candidate, Round
from kat_data.domain.category import Category
from kat_data.domain.draft import Draft
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.history import as_text
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Role, VerifierKind
from kat_data.domain.text import normalise
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import BadReply
from kat_data.hashing import fraction
from kat_data.llm.model import Model
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.environments.workspace import SOLUTION, WORKSPACE_TOOLS, files_of, path_fault, tested
from kat_data.stages.parts.answering import Written, ask_calls, complete, shown, tool_lines, unreadable
from kat_data.stages.parts.arguments import refusal
from kat_data.stages.parts.asking import ask_first, members, whose_turn
from kat_data.stages.parts.assessing import judged, misfit
from kat_data.stages.parts.replies import CriticReply, PlanReply
from kat_data.stages.stage import Stage, Tools

WORKSPACE = "workspace/1"
_TESTS_FAIL = f"The task's tests do not pass on {SOLUTION}: run them, and mend what fails before you answer."
_NO_SOLUTION = f"There is no {SOLUTION} yet: write it before you answer."
_REPEATED = "The same calls were just made, and their results are known: do something else."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opinion:
    """What is said of one step: a verdict, the findings that the coder hears, and the reviewer's round if it spoke."""

    verdict: Verdict
    findings: tuple[str, ...] = ()
    review: Round | None = None


class Develop(Stage):
    """Have a coder take the next step of a code task: explain and call tools, or answer once the tests pass.

    Queries of code with tests get the tools of a workspace. The planner's plan and the reviewer's findings are shown to
    the coder alone. An answer without calls is accepted only if the query's own verifier passes the solution and the
    reviewer has no finding; else the coder takes the step again.
    """

    name: ClassVar[str] = "develop"
    verifiers: ClassVar[tuple[VerifierKind, ...]] = (VerifierKind.CODE,)
    roles: ClassVar[tuple[str, ...]] = ("planner", "coder", "reviewer")
    prompts: ClassVar[tuple[str, ...]] = ("plan.v1", "develop.v1", "review.v1")
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("vote_mode", "route_mode"),)

    rounds: int = Field(3, ge=1, description="How often the coder may take one step before the query is dropped.")
    share: float = Field(1.0, gt=0, le=1, description="The share of code queries that become trajectories.")

    def prepare(self, draft: Draft, seed: int) -> Draft:
        spec = draft.query.verifier
        programs = spec is not None and spec.kind is VerifierKind.CODE and spec.options.get("language") != "cpp"
        if not programs or draft.query.category is not Category.CODE or draft.query.tools:
            return draft
        if not self.serves(draft.query.category) or fraction(seed, "develop.share", draft.query.hash) >= self.share:
            return draft
        return replace(draft, equipment=WORKSPACE_TOOLS)

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and bool(draft.equipment) and draft.choice is not None and not draft.candidates

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        plan = await self._plan(draft, tools)
        if plan is None:
            return Dropped(reason=DropReason.NO_PLAN)
        candidates: list[Candidate] = []
        findings: tuple[str, ...] = ()
        for position in range(self.rounds):
            candidate, findings = await self._take(draft, tools, plan, findings, position)
            candidates.append(candidate)
            if candidate.outcome is Outcome.CORRECT and misfit(candidate) is None:
                break
            if any(verdict.status is Status.NOT_VERIFIED for verdict in candidate.verdicts):
                break  # no sandbox: further tries would be paid for in vain
        return replace(draft, candidates=tuple(candidates))

    async def _plan(self, draft: Draft, tools: Tools) -> Round | None:
        """The plan of the whole task: asked for at every step, and paid for at the first alone."""
        messages = load_prompt("plan.v1").messages(task=draft.user_text)
        opinion = await ask_first(members(tools, "planner"), messages, PlanReply)
        if opinion is None:
            return None
        lines = "\n".join(f"{number}. {step}" for number, step in enumerate(opinion.value.steps, start=1))
        return Round(role="planner", model=opinion.model, text=lines, call=opinion.calls[-1])

    async def _take(
        self, draft: Draft, tools: Tools, plan: Round, findings: tuple[str, ...], position: int
    ) -> tuple[Candidate, tuple[str, ...]]:
        """Take the step once: the candidate with its verdict, and what the coder hears before the next try."""
        coder, sample = whose_turn(members(tools, "coder"), position)
        assert draft.choice is not None
        mode = draft.choice.mode
        try:
            written = await _write(draft, coder, plan.text, findings, mode, sample)
        except BadReply as error:
            return unreadable(error, model=coder.name, mode=mode, position=position), findings
        spoken = Round(role="coder", model=written.model, text=shown(written), call=written.calls[-1])
        opinion = await self._judge(draft, tools, written)
        rounds = (plan, spoken, *((opinion.review,) if opinion.review else ()))
        candidate = Candidate(
            position=position,
            mode=mode,
            model=written.model,
            answer=written.answer,
            calls=(plan.call, *written.calls, *((opinion.review.call,) if opinion.review else ())),
            thinking=written.thinking if mode is Mode.ON else "",
            tool_calls=written.tool_calls,
            rounds=rounds,
        )
        return judged(candidate, opinion.verdict), opinion.findings

    async def _judge(self, draft: Draft, tools: Tools, written: Written) -> _Opinion:
        if written.tool_calls:
            why = next(filter(None, (refusal(c, draft.tools) or path_fault(c) for c in written.tool_calls)), None)
            if draft.turns and draft.turns[-1].tool_calls == written.tool_calls:
                why = _REPEATED
            return _objection(why) if why else _Opinion(verdict=_verdict(Status.ENDORSED))
        files = files_of(draft)
        if SOLUTION not in files:
            return _objection(_NO_SOLUTION)
        verdict = await tested(files, draft, tools)
        if verdict is None:
            return _Opinion(verdict=Verdict(outcome=Outcome.UNDECIDED, status=Status.NOT_VERIFIED, verifier=WORKSPACE))
        if verdict.outcome is not Outcome.CORRECT:
            return _Opinion(verdict=verdict, findings=(_TESTS_FAIL,))
        return await self._review(draft, tools, written, verdict)

    async def _review(self, draft: Draft, tools: Tools, written: Written, verdict: Verdict) -> _Opinion:
        """Have the reviewer look at a solution that passed its tests: it may ask for another round."""
        messages = load_prompt("review.v1").messages(
            task=draft.user_text, files=sorted(files_of(draft).items()), answer=written.answer
        )
        opinion = await ask_first(members(tools, "reviewer"), messages, CriticReply)
        if opinion is None:
            return _objection("The review could not be read.")
        review = Round(
            role="reviewer",
            model=opinion.model,
            text=opinion.value.check,
            call=opinion.calls[-1],
            findings=opinion.value.findings,
            passed=opinion.value.passed,
        )
        if opinion.value.passed:
            return _Opinion(verdict=verdict, review=review)
        found = opinion.value.findings or ("The reviewer is not content: look at the solution again.",)
        return _Opinion(verdict=_verdict(Status.OBJECTED, *found), findings=found, review=review)


async def _write(draft: Draft, coder: Model, plan: str, findings: Sequence[str], mode: Mode, sample: int) -> Written:
    """Have the coder explain and call; raises `BadReply`, also where an explanation or the thinking is missing."""
    reasoned = mode is Mode.ON
    native = coder.native_tools and (coder.native_reasoning or not reasoned)
    spec = draft.query.verifier
    messages = load_prompt("develop.v1").before(
        draft.conversation if native else as_text(draft.conversation, speaker=Role.USER),
        native=native,
        reasoned=reasoned,
        entry=str(spec.options.get("entry") or "") if spec else "",
        tools=() if native else tool_lines(draft.tools),
        plan=plan,
        findings=findings,
    )
    if native:
        return complete(await _natively(draft, coder, messages, sample), reasoned=reasoned)
    written = await ask_calls(
        coder, messages, draft.tools, reasoned=reasoned, sample=sample, may_answer=True, typed=True
    )
    return complete(written, reasoned=reasoned)


async def _natively(draft: Draft, coder: Model, messages: tuple[Message, ...], sample: int) -> Written:
    reply = await coder.chat(messages, sample=sample, tools=draft.tools)
    return Written(
        model=coder.name,
        answer=normalise(reply.reply.text),
        calls=reply.calls,
        thinking=normalise(reply.reply.reasoning),
        tool_calls=reply.reply.tool_calls,
    )


def _objection(why: str) -> _Opinion:
    return _Opinion(verdict=_verdict(Status.OBJECTED, why), findings=(why,))


def _verdict(status: Status, *findings: str) -> Verdict:
    outcome = Outcome.CORRECT if status is Status.ENDORSED else Outcome.INCORRECT
    return Verdict(outcome=outcome, status=status, verifier=WORKSPACE, evidence={"findings": list(findings)})
