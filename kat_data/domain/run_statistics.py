"""What a run's accepted samples came from: how models voted, answered and were judged, and what it cost."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTokens:
    """Completion tokens of the accepted answers in one mode, as their endpoints counted them.

    The statistics are over the `counted` answers; answers that several models wrote together have no count.
    """

    mode: str
    answers: int
    counted: int
    tokens: int
    median: int
    p90: int
    p99: int
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """How models voted on the modes of accepted turns.

    `agreement` is the mean share of pairs of voters that agree, and `kappa` (Fleiss) what it is beyond chance; none
    where no turn has two votes, or all votes are alike. `margins` counts turns by the majority's margin, in tenths.
    """

    turns: int
    votes: int
    unanimous: int
    agreement: float | None
    kappa: float | None
    margins: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """One voting model: of its votes on turns that a majority decided, `agreed` were with the majority."""

    model: str
    votes: int
    agreed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The candidates of a category and a mode that were judged, by the last verdict on each; accepted or not."""

    category: str
    mode: str
    answers: int
    correct: int
    incorrect: int
    undecided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What was not answered twice: lines of the sources that held a known query, and queries nearly like a sample's."""

    exact: int
    near: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """The statistics of one run; of what it did not do there is nothing.

    `origins` counts accepted turns by why they have their mode, `languages` samples by their query's tag. The prices
    are of every call behind the run, whoever paid it, shared out evenly among the accepted samples.
    """

    samples: int
    tokens: tuple[AnswerTokens, ...] = ()
    votes: Votes | None = None
    voters: tuple[Voter, ...] = ()
    origins: dict[str, int] = field(default_factory=dict)
    judged: tuple[Judged, ...] = ()
    duplicates: Duplicates
    languages: dict[str, int] = field(default_factory=dict)
    usd_per_sample: float
    calls_per_sample: float
