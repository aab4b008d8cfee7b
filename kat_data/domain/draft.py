"""Drafts: what a run knows of one query so far; stages take one and return a fuller one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.directive import directive
from kat_data.domain.history import Step, as_text, is_recorded, steps
from kat_data.domain.intent import Intent
from kat_data.domain.measurement import ModeMeasurement
from kat_data.domain.mode import Mode, ModeChoice, Switches, Vote, switches
from kat_data.domain.pass_rate import PassRate
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.score import Score
from kat_data.domain.soft_label import SoftLabel, with_soft_label
from kat_data.domain.stratum import Labels
from kat_data.domain.tag import Tag, TagSummary
from kat_data.domain.tool_call import ToolCall
from kat_data.hashing import content_hash

_OF_TURN = {"of_turn": True}
"""Metadata of what a draft holds of the turn under work: blank again once the turn is finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """One more accepted candidate of the last turn, with its judge analysis once there is one."""

    position: int
    judge_analysis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A query on its way to a sample.

    `turns` are finished, each with the hash of its history in `lineages`; votes, choice, measurement, candidates,
    `accepted` (a candidate's position), scores, the judge analysis and `results` belong to the turn under work, whose
    index is `len(turns)`. `results` are what the accepted answer's calls gave, one for each, or none as long as nothing
    was made of them. An `intent` stands in what models are sent and samples hold, and never in the query; `equipment`
    are tools that the recipe adds to a query that has none, and it is `observed` where the recipe finds out what calls
    give. Where there is a soft label, `query` is the run's own copy, with the label as its reference. `responses` is
    how many samples the query is to bring: beyond the first they differ in the last turn (`further`). A `paired` one
    is accepted as a query–verifier pair, without an answer.
    """

    query: Query
    responses: int = 1
    tags: tuple[Tag, ...] = ()
    summary: TagSummary | None = None
    soft_label: SoftLabel | None = None
    pass_rate: PassRate | None = None
    intent: Intent | None = None
    turns: tuple[Turn, ...] = ()
    lineages: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = field(default=(), metadata=_OF_TURN)
    choice: ModeChoice | None = field(default=None, metadata=_OF_TURN)
    measurement: ModeMeasurement | None = field(default=None, metadata=_OF_TURN)
    candidates: tuple[Candidate, ...] = field(default=(), metadata=_OF_TURN)
    accepted: int | None = field(default=None, metadata=_OF_TURN)
    scores: tuple[Score, ...] = field(default=(), metadata=_OF_TURN)
    judge_analysis: str | None = field(default=None, metadata=_OF_TURN)
    further: tuple[Further, ...] = field(default=(), metadata=_OF_TURN)
    paired: bool = False
    results: tuple[str, ...] | None = field(default=None, metadata=_OF_TURN)
    equipment: tuple[dict[str, Any], ...] = ()
    observed: bool = False

    @property
    def tools(self) -> tuple[dict[str, Any], ...]:
        """The tools that answers may call, in OpenAI's fields."""
        return self.query.tools or self.equipment

    @property
    def answers_results(self) -> bool:
        """Whether the turn under work answers what the last turn's calls gave, and not a message of the user."""
        return bool(self.turns and self.turns[-1].results)

    @property
    def user_text(self) -> str:
        """The user's last message: what the turn under work answers, or what led to the results that it answers."""
        text = self.query.user_turns[self._user]
        return self.intent.in_user(text, self._user) if self.intent else text

    @property
    def _user(self) -> int:
        """Which of the user's messages the turn under work belongs to."""
        return sum(not turn.results for turn in self.turns)

    @property
    def _is_last_user(self) -> bool:
        return self._user + 1 == len(self.query.user_turns)

    @property
    def system(self) -> str | None:
        """The system text that models are sent, if there is one."""
        return self.intent.in_system(self.query.system) if self.intent else self.query.system

    @property
    def wish(self) -> Mode | None:
        """The mode that the user asks for at the turn under work, none where there is no such wish."""
        if self.intent and self.intent.governs(self._user):
            return self.intent.mode
        return directive(self.user_text)

    @property
    def is_last_turn(self) -> bool:
        """Whether nothing is left to answer after the turn under work."""
        return not self.results and self._is_last_user

    @property
    def verifiable(self) -> bool:
        """Whether the turn under work has a verifier of its own: `task` names it."""
        return self.task.verifier is not None

    def decides(self, candidate: Candidate) -> bool:
        """Whether the verifier of the turn under work decides on the candidate: one of answers waits for the last."""
        spec = self.task.verifier
        return spec is not None and (spec.kind is VerifierKind.TOOL_CALL or not candidate.tool_calls)

    @property
    def task(self) -> Query:
        """The query as a verifier of the turn under work sees it; without a verifier where none decides on the turn.

        A recorded step with calls must make those calls again, whatever the query's own verifier. That one decides on
        answers to the user's last message; where it is of calls, not on what is said of their results.
        """
        if (step := self.step) and step.tool_calls:
            return replace(self.query, reference=None, verifier=_same_calls(step.tool_calls))
        spec = self.query.verifier
        of_calls = spec is not None and spec.kind is VerifierKind.TOOL_CALL
        if self._is_last_user and not (of_calls and (self.answers_results or self.step)):
            return self.query
        return replace(self.query, verifier=None)

    @property
    def step(self) -> Step | None:
        """What the source did where the turn under work stands, if the query is a recorded conversation."""
        if not is_recorded(self.query.messages):
            return None
        recorded = steps(self.query.messages)
        return recorded[len(self.turns)] if len(self.turns) < len(recorded) else None

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages a model sees for the turn under work.

        System, finished turns (answers, calls and results, never thinking), the user's message.
        """
        messages = [Message(role=Role.SYSTEM, content=self.system)] if self.system else []
        for turn in self.turns:
            messages += _seen(turn)
        if not self.answers_results:
            messages.append(Message(role=Role.USER, content=self.user_text))
        return tuple(messages)

    @property
    def wanted(self) -> int:
        """How many accepted candidates the turn under work needs: an earlier turn has one history alone.

        Whether a turn is the last is not known before its calls are observed, so a trajectory brings one sample.
        """
        return self.responses if self.is_last_turn and not self.observed else 1

    @property
    def may_switch(self) -> bool:
        """Whether the sample may have several turns: of a query with one message that needs calls with results."""
        return len(self.query.user_turns) > 1 or (self.observed and bool(self.tools))

    @property
    def _switches(self) -> Switches | None:
        """Whether the mode changes over all turns, once the last one is answered."""
        if self.choice is None or self.accepted is None or not self.is_last_turn:
            return None
        return switches([*(turn.mode for turn in self.turns), self.choice.mode])

    @property
    def labels(self) -> Labels:
        """What is known by which mixtures are made."""
        return Labels(
            category=self.query.category.value,
            mode=self.choice.mode.value if self.choice else None,
            switches=self._switches,
            domain=self.summary.domain if self.summary else None,
            difficulty=self.summary.difficulty if self.summary else None,
            pass_rate=self.pass_rate.rate if self.pass_rate else None,
        )

    @property
    def transcript(self) -> tuple[Message, ...]:
        """The conversation with calls and results as text: what models see that judge it."""
        return as_text(self.conversation)

    @property
    def accepted_candidate(self) -> Candidate | None:
        return self.candidate(self.accepted)

    def candidate(self, position: int | None) -> Candidate | None:
        """Return the candidate at `position`, none where there is none."""
        return next((c for c in self.candidates if c.position == position), None)

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
            user="" if self.answers_results else self.user_text,
            judge_analysis=self.judge_analysis or "",
            mode=self.choice.mode,
            thinking=candidate.thinking,
            answer=candidate.answer,
            tool_calls=candidate.tool_calls,
            results=self.results or (),
        )
        return replace(self, **_BLANK_TURN, turns=(*self.turns, turn), lineages=(*self.lineages, self._turn_lineage()))

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

        Votes, choice, candidates with their calls and outcomes, acceptance, judge analysis; and what only some recipes
        ask for, where it is there.
        """
        candidates = [
            (c.position, c.calls, c.fault, [(v.verifier, v.outcome, v.status) for v in c.verdicts])
            for c in self.candidates
        ]
        extras = [fact for fact in (self.measurement, self.scores, self.results) if fact]
        return content_hash((self.votes, self.choice, candidates, self.accepted, self.judge_analysis, *extras)).hex()

    @property
    def lineage(self) -> bytes:
        """The 32-byte hash over the query, what is known of it, and every finished turn.

        Equal lineage = the same history.
        """
        extras = [fact for fact in (self.soft_label, self.pass_rate, self.intent) if fact is not None]
        return content_hash((self.query.hash.hex(), self.tags, self.lineages, *extras))

    def sample(self) -> Sample:
        """Return the sample once every turn is finished."""
        if self.answers_results or self._user != len(self.query.user_turns):
            raise ValueError("turns are missing")
        return Sample(system=self.system, tools=self.tools, turns=self.turns)


_BLANK_TURN: dict[str, Any] = {part.name: part.default for part in fields(Draft) if part.metadata.get("of_turn")}


def _seen(turn: Turn) -> Iterator[Message]:
    """The messages of a finished turn as later turns see them."""
    if turn.user:
        yield Message(role=Role.USER, content=turn.user)
    yield Message(role=Role.ASSISTANT, content=turn.answer, tool_calls=turn.tool_calls)
    for result in turn.results:
        yield Message(role=Role.TOOL, content=result)


def _same_calls(calls: Iterable[ToolCall]) -> VerifierSpec:
    """What accepts these calls alone, in this order: each gets the result that it got in the recorded conversation."""
    possible = [{call.name: {name: [_wanted(value)] for name, value in call.arguments.items()}} for call in calls]
    return VerifierSpec(kind=VerifierKind.TOOL_CALL, options={"possible": possible, "ordered": True})


def _wanted(value: Any) -> Any:
    """Spell a value as the only one allowed: within an object, a list would be one of alternatives."""
    if isinstance(value, dict):
        return {name: [_wanted(part)] for name, part in value.items()}
    return [_wanted(part) for part in value] if isinstance(value, list) else value
