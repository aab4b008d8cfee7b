"""Write the judge analysis of an accepted answer: why its mode suits the query (§4.1.1)."""

import re
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft, Further
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.query import Message
from kat_data.domain.template import unholdable
from kat_data.domain.text import fold
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.answering import shown
from kat_data.stages.parts.asking import ask_first, members
from kat_data.stages.parts.claimed_mode import claimed_mode
from kat_data.stages.parts.replies import JudgeReply
from kat_data.stages.stage import Stage, Tools

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")


class JudgeMode(Stage):
    """Ask the judges in turn for an analysis that the template can hold and that does not argue for the other mode."""

    name: ClassVar[str] = "judge_mode"
    roles: ClassVar[tuple[str, ...]] = ("judge",)
    prompts: ClassVar[tuple[str, ...]] = ("judge_mode.v1",)
    follows: ClassVar[tuple[tuple[str, ...], ...]] = (("verify",),)

    draws: int = Field(2, ge=1, description="How often each judge is asked before the query is dropped.")
    answer_chars: int = Field(1_500, ge=1, description="How much of the answer the judge sees, in characters.")

    def applies(self, draft: Draft) -> bool:
        return super().applies(draft) and draft.accepted is not None and draft.judge_analysis is None

    async def run(self, draft: Draft, tools: Tools) -> Draft | Dropped:
        accepted = [draft.accepted, *(one.position for one in draft.further)]
        found = [(position, await self._analyse(draft, tools, position)) for position in accepted]
        good = [
            (position, analysis) for position, analysis in found if position is not None and isinstance(analysis, str)
        ]
        if not good:
            return next(refusal for _, refusal in found if isinstance(refusal, Dropped))
        (first, analysis), *others = good
        further = tuple(Further(position=position, judge_analysis=text) for position, text in others)
        return replace(draft, accepted=first, judge_analysis=analysis, further=further)

    async def _analyse(self, draft: Draft, tools: Tools, position: int | None) -> str | Dropped:
        candidate = draft.candidate(position)
        if candidate is None:
            raise ValueError("judge_mode follows acceptance")
        messages = self._messages(draft, candidate)
        refusals = []
        for draw in range(self.draws):
            for judge in members(tools, "judge"):
                opinion = await ask_first([judge], messages, JudgeReply, sample=draw)
                analysis = finish_sentence(fold(opinion.value.analysis)) if opinion else ""
                if (why := _refusal(analysis, candidate)) is None:
                    return analysis
                refusals.append(f"{judge.name}: {why}")
        return Dropped(reason=DropReason.NO_JUDGE_ANALYSIS, detail="; ".join(refusals))

    def _messages(self, draft: Draft, candidate: Candidate) -> tuple[Message, ...]:
        answer = shown(candidate)
        if len(answer) > self.answer_chars:
            answer = f"{answer[: self.answer_chars]} …"
        return load_prompt("judge_mode.v1").messages(
            conversation=draft.transcript, answer=answer, mode=candidate.mode.value
        )


def finish_sentence(text: str) -> str:
    """Return `text` up to its last full sentence: a length bound can cut one; a text without any stays as it is."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


def _refusal(analysis: str, candidate: Candidate) -> str | None:
    if not analysis:
        return "no analysis"
    if why := unholdable(analysis):
        return f"the analysis {why}"
    if claimed_mode(analysis) not in {None, candidate.mode}:
        return f"argues against {candidate.mode}"
    return None
