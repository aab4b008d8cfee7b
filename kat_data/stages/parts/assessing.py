"""Verdicts on candidates, by the query's verifier or by judging models; and whether the template can hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft
from kat_data.domain.drop import DropReason
from kat_data.domain.query import Message, Query, VerifierKind
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.template import render_messages
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.errors import TemplateError
from kat_data.llm.model import Model
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.answering import shown
from kat_data.stages.parts.asking import Opinion, ask_all
from kat_data.stages.parts.replies import PanelReply
from kat_data.stages.stage import Verify

PANEL = "panel/1"
CRITIC = "critic/1"
RECORD = "record/1"
WHOLE = "panel_whole/1"


def judged(candidate: Candidate, verdict: Verdict) -> Candidate:
    """Return the candidate with one verdict more."""
    return replace(candidate, verdicts=(*candidate.verdicts, verdict))


async def by_verifier(draft: Draft, candidate: Candidate, verify: Verify) -> Verdict:
    """Return the query's verifier's verdict; `not_verified` where no such verifier is at hand."""
    task = draft.task
    verdict = await verify(task, candidate)
    if verdict is not None:
        return verdict
    kind = task.verifier.kind.value if task.verifier else "none"
    return Verdict(outcome=Outcome.UNDECIDED, status=Status.NOT_VERIFIED, verifier=kind)


def off_record(draft: Draft, candidate: Candidate) -> Verdict | None:
    """Object to calls where the recorded conversation makes none: nobody knows what they would have given."""
    if draft.step is None or draft.step.tool_calls or not candidate.tool_calls:
        return None
    note = {"note": "the recorded conversation calls no tool here"}
    return Verdict(outcome=Outcome.INCORRECT, status=Status.OBJECTED, verifier=RECORD, evidence=note)


async def by_panel(
    conversation: Sequence[Message],
    answer: str,
    panel: Sequence[Model],
    *,
    agreement: float,
    prompt: str = "panel.v1",
    verifier: str = PANEL,
) -> Verdict:
    """Have judging models say whether `answer` is good; they decide where more than `agreement` of them agree."""
    messages = load_prompt(prompt).messages(conversation=conversation, answer=answer)
    opinions = await ask_all(panel, messages, PanelReply)
    return _tally(opinions, [o.value.good for o in opinions], verifier, agreement)


def misfit(candidate: Candidate) -> str | None:
    """Return why the training template cannot hold the candidate, none where it can."""
    turn = Turn(
        user="-",
        judge_analysis="-",
        mode=candidate.mode,
        thinking=candidate.thinking,
        answer=candidate.answer,
        tool_calls=candidate.tool_calls,
    )
    try:
        render_messages(Sample(system=None, tools=(), turns=(turn,)))
    except TemplateError as error:
        return str(error)
    return None


def acceptable(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the correct candidates that the template can hold, each text once."""
    texts = {
        (c.thinking, shown(c)): c for c in reversed(candidates) if c.outcome is Outcome.CORRECT and misfit(c) is None
    }
    return tuple(sorted(texts.values(), key=lambda candidate: candidate.position))


def why_unverified(query: Query, evidence: Sequence[Mapping[str, Any]]) -> DropReason | None:
    """Return why programs were not verified, by the evidence of their verdicts; none where none is a program's."""
    if not evidence or query.verifier is None or query.verifier.kind is not VerifierKind.CODE:
        return None
    invalid = any(found.get("why") == DropReason.INVALID_TASK for found in evidence)
    return DropReason.INVALID_TASK if invalid else DropReason.NO_SANDBOX


def _tally(opinions: Sequence[Opinion[Any]], ayes: Sequence[bool], verifier: str, agreement: float) -> Verdict:
    share = sum(ayes) / len(ayes) if ayes else 0.5
    if ayes and share > agreement:
        outcome, status = Outcome.CORRECT, Status.ENDORSED
    elif ayes and 1 - share > agreement:
        outcome, status = Outcome.INCORRECT, Status.OBJECTED
    else:
        outcome, status = Outcome.UNDECIDED, Status.SPLIT_PANEL
    votes = [{"model": o.model, **o.value.model_dump(), "call": o.calls[-1]} for o in opinions]
    return Verdict(outcome=outcome, status=status, verifier=verifier, evidence={"votes": votes})
