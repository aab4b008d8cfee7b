"""Drafts: what a run knows of one query so far; stages take one and return a fuller one."""

from dataclasses import dataclass, replace

from kat_data.domain.candidate import Candidate
from kat_data.domain.mode import ModeChoice, Vote
from kat_data.domain.pass_rate import PassRate
from kat_data.domain.query import Message, Query, Role
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.soft_label import SoftLabel, with_soft_label
from kat_data.domain.tag import Tag, TagSummary
from kat_data.hashing import content_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A query on its way to a sample.

    `turns` are finished, each with the hash of its history in `lineages`; votes, choice, candidates, `accepted` (a
    candidate's position) and the judge analysis belong to the turn under work, whose index is `len(turns)`. Where there
    is a soft label, `query` is the run's own copy, with the label as its reference.
    """

    query: Query
    tags: tuple[Tag, ...] = ()
    summary: TagSummary | None = None
    soft_label: SoftLabel | None = None
    pass_rate: PassRate | None = None
    turns: tuple[Turn, ...] = ()
    lineages: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = ()
    choice: ModeChoice | None = None
    candidates: tuple[Candidate, ...] = ()
    accepted: int | None = None
    judge_analysis: str | None = None

    @property
    def user_text(self) -> str:
        """The user's message that the turn under work answers."""
        return self.query.user_turns[len(self.turns)]

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
        messages = [Message(role=Role.SYSTEM, content=self.query.system)] if self.query.system else []
        for turn in self.turns:
            messages.append(Message(role=Role.USER, content=turn.user))
            messages.append(Message(role=Role.ASSISTANT, content=turn.answer))
        messages.append(Message(role=Role.USER, content=self.user_text))
        return tuple(messages)

    @property
    def accepted_candidate(self) -> Candidate | None:
        return next((c for c in self.candidates if c.position == self.accepted), None)

    def labelled(self, label: SoftLabel) -> "Draft":
        """Return the draft with a soft label, which is from here on its query's reference if it has one."""
        return replace(self, soft_label=label, query=with_soft_label(self.query, label))

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
            soft_label=self.soft_label,
            pass_rate=self.pass_rate,
            turns=(*self.turns, turn),
            lineages=(*self.lineages, self._turn_lineage()),
        )

    def _turn_lineage(self) -> str:
        """Hash what led to the turn.

        Votes, choice, candidates with their calls and outcomes, acceptance, judge analysis.
        """
        candidates = [
            (c.position, c.calls, c.fault, [(v.verifier, v.outcome, v.status) for v in c.verdicts])
            for c in self.candidates
        ]
        return content_hash((self.votes, self.choice, candidates, self.accepted, self.judge_analysis)).hex()

    @property
    def lineage(self) -> bytes:
        """The 32-byte hash over the query, its labels, its pass rate and every finished turn.

        Equal lineage = the same history.
        """
        measured = [fact for fact in (self.soft_label, self.pass_rate) if fact is not None]
        return content_hash((self.query.hash.hex(), self.tags, self.lineages, *measured))

    def sample(self) -> Sample:
        """Return the sample once every turn is finished."""
        if len(self.turns) != len(self.query.user_turns):
            raise ValueError("turns are missing")
        return Sample(system=self.query.system, tools=self.query.tools, turns=self.turns)
