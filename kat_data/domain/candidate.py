"""Candidates: sampled answers before acceptance, and the rounds of reasoning that led to them."""

from dataclasses import dataclass

from kat_data.domain.mode import Mode
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One step of multi-agent reasoning (§3.2).

    Who spoke (`solver`, `thinker`, `critic`, `writer`), what, and the critic's findings.
    """

    role: str
    model: str
    text: str
    call: str
    findings: tuple[str, ...] = ()
    passed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One answer to one turn; `thinking` is empty in think-off mode; `calls` are ledger keys, hex.

    `fault` tells why a reply could not be read as an answer (`reply_cut`, `reply_empty`, `reply_malformed`); such a
    candidate has no verdict and is kept because it was paid for. `verdicts` are in the order in which they were
    given; the last definite one holds. `tokens` are the completion tokens, reasoning included, of every call for the
    answer of one model; none where several wrote it together.
    """

    position: int
    mode: Mode
    model: str
    answer: str
    calls: tuple[str, ...]
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    rounds: tuple[Round, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    fault: str | None = None
    tokens: int | None = None

    @property
    def outcome(self) -> Outcome:
        """The last definite outcome, or undecided."""
        definite = [v.outcome for v in self.verdicts if v.outcome is not Outcome.UNDECIDED]
        return definite[-1] if definite else Outcome.UNDECIDED
