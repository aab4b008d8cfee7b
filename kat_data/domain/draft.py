"""Drafts: what a run knows of one query so far; stages take one and return a fuller one."""

from dataclasses import dataclass
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.directive import directive
from kat_data.domain.intent import Intent
from kat_data.domain.measurement import ModeMeasurement
from kat_data.domain.mode import Mode, ModeChoice, Vote
from kat_data.domain.query import Message, Query, Role
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.score import Score
from kat_data.domain.tag import Tag, TagSummary
from kat_data.hashing import content_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A query on its way to a sample.

    `turns` are finished, each with the hash of its history in `lineages`; votes, choice, measurement, candidates,
    `accepted` (a candidate's position), scores and the judge analysis belong to the turn under work, whose index is
    `len(turns)`. An `intent` stands in what models are sent and samples hold, and never in the query.
    """

    query: Query
    tags: tuple[Tag, ...] = ()
    summary: TagSummary | None = None
    intent: Intent | None = None
    turns: tuple[Turn, ...] = ()
    lineages: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = ()
    choice: ModeChoice | None = None
    measurement: ModeMeasurement | None = None
    candidates: tuple[Candidate, ...] = ()
    accepted: int | None = None
    scores: tuple[Score, ...] = ()
    judge_analysis: str | None = None

    @property
    def user_text(self) -> str:
        """The user's message that the turn under work answers."""
        turn = len(self.turns)
        text = self.query.user_turns[turn]
        return self.intent.in_user(text, turn) if self.intent else text

    @property
    def system(self) -> str | None:
        """The system text that models are sent, if there is one."""
        return self.intent.in_system(self.query.system) if self.intent else self.query.system

    @property
    def wish(self) -> Mode | None:
        """The mode that the user asks for at the turn under work, none where there is no such wish."""
        if self.intent and self.intent.governs(len(self.turns)):
            return self.intent.mode
        return directive(self.user_text)

    @property
    def is_last_turn(self) -> bool:
        return len(self.turns) + 1 == len(self.query.user_turns)

    @property
    def verifiable(self) -> bool:
        """Whether the turn under work has a verifier: a query's verifier decides on its last turn."""
        return self.query.verifier is not None and self.is_last_turn

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages a model sees for the turn under work.

        System, finished turns (answers only), the user's message.
        """
        messages = [Message(role=Role.SYSTEM, content=self.system)] if self.system else []
        for turn in self.turns:
            messages.append(Message(role=Role.USER, content=turn.user))
            messages.append(Message(role=Role.ASSISTANT, content=turn.answer))
        messages.append(Message(role=Role.USER, content=self.user_text))
        return tuple(messages)

    @property
    def accepted_candidate(self) -> Candidate | None:
        return next((c for c in self.candidates if c.position == self.accepted), None)

    def finish_turn(self) -> "Draft":
        """Return the draft with the turn under work moved to `turns` and the next one blank.

        Needs a mode and an acceptance.

        A recipe without `judge_mode` leaves the judge analysis empty.
        """
        candidate = self.accepted_candidate
        if candidate is None or self.choice is None:
            raise ValueError("the turn has no accepted candidate or no mode yet")
        turn = Turn(
            user=self.user_text,
            judge_analysis=self.judge_analysis or "",
            mode=self.choice.mode,
            thinking=candidate.thinking,
            answer=candidate.answer,
            tool_calls=candidate.tool_calls,
        )
        return Draft(
            query=self.query,
            tags=self.tags,
            summary=self.summary,
            intent=self.intent,
            turns=(*self.turns, turn),
            lineages=(*self.lineages, self._turn_lineage()),
        )

    def _turn_lineage(self) -> str:
        """Hash what led to the turn.

        Votes, choice, candidates with their calls and outcomes, acceptance, judge analysis; and what only some recipes
        ask for, where it is there.
        """
        candidates = [
            (c.position, c.calls, c.fault, [(v.verifier, v.outcome, v.status) for v in c.verdicts])
            for c in self.candidates
        ]
        extras = [fact for fact in (self.measurement, self.scores) if fact]
        return content_hash((self.votes, self.choice, candidates, self.accepted, self.judge_analysis, *extras)).hex()

    @property
    def lineage(self) -> bytes:
        """The 32-byte hash over the query, tags, intent and every finished turn: equal lineage = the same history."""
        facts: list[Any] = [self.query.hash.hex(), self.tags, self.lineages]
        return content_hash([*facts, self.intent] if self.intent else facts)

    def sample(self) -> Sample:
        """Return the sample once every turn is finished."""
        if len(self.turns) != len(self.query.user_turns):
            raise ValueError("turns are missing")
        return Sample(system=self.system, tools=self.query.tools, turns=self.turns)
