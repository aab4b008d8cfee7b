"""Drafts: what a run knows of one query so far; stages take one and return a fuller one."""

from dataclasses import dataclass, replace

from kat_data.domain.candidate import Candidate
from kat_data.domain.mode import ModeChoice, Vote
from kat_data.domain.query import Message, Query, Role
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.stratum import Labels
from kat_data.domain.tag import Tag, TagSummary
from kat_data.hashing import content_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """One more accepted candidate of the last turn, with its judge analysis once there is one."""

    position: int
    judge_analysis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A query on its way to a sample.

    `responses` is how many samples it is to bring: beyond the first they differ in the last turn (`further`). A
    `paired` one is accepted as a query–verifier pair, without an answer.
    `turns` are finished, each with the hash of its history in `lineages`; votes, choice, candidates, `accepted` (a
    candidate's position) and the judge analysis belong to the turn under work, whose index is `len(turns)`.
    """

    query: Query
    responses: int = 1
    tags: tuple[Tag, ...] = ()
    summary: TagSummary | None = None
    turns: tuple[Turn, ...] = ()
    lineages: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = ()
    choice: ModeChoice | None = None
    candidates: tuple[Candidate, ...] = ()
    accepted: int | None = None
    judge_analysis: str | None = None
    further: tuple[Further, ...] = ()
    paired: bool = False

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
    def wanted(self) -> int:
        """How many accepted candidates the turn under work needs: an earlier turn has one history alone."""
        return self.responses if self.is_last_turn else 1

    @property
    def labels(self) -> Labels:
        """What is known by which mixtures are made."""
        return Labels(
            category=self.query.category.value,
            mode=self.choice.mode.value if self.choice else None,
            domain=self.summary.domain if self.summary else None,
            difficulty=self.summary.difficulty if self.summary else None,
        )

    @property
    def accepted_candidate(self) -> Candidate | None:
        return self.candidate(self.accepted)

    def candidate(self, position: int | None) -> Candidate | None:
        """Return the candidate at `position`, none where there is none."""
        return next((c for c in self.candidates if c.position == position), None)

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
            responses=self.responses,
            tags=self.tags,
            summary=self.summary,
            turns=(*self.turns, turn),
            lineages=(*self.lineages, self._turn_lineage()),
        )

    def finished(self) -> tuple["Draft", ...]:
        """Return the drafts with every turn finished: one for each accepted candidate of the last turn."""
        judged = self.judge_analysis is not None
        others = [
            replace(self, accepted=one.position, judge_analysis=one.judge_analysis)
            for one in self.further
            if not judged or one.judge_analysis is not None
        ]
        return tuple(draft.finish_turn() for draft in (self, *others))

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
        """The 32-byte hash over the query, its tags and every finished turn: equal lineage = the same history."""
        return content_hash((self.query.hash.hex(), self.tags, self.lineages))

    def sample(self) -> Sample:
        """Return the sample once every turn is finished."""
        if len(self.turns) != len(self.query.user_turns):
            raise ValueError("turns are missing")
        return Sample(system=self.query.system, tools=self.query.tools, turns=self.turns)
