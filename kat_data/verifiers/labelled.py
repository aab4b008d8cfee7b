"""Labelled cases that ship with the package, and the verifiers' error rates on them, which dataset cards cite."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.category import Category
from kat_data.domain.codec import from_json
from kat_data.domain.mode import Mode
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome
from kat_data.hashing import sha256
from kat_data.verifiers.dispatch import NAMES, Verifiers

KINDS = tuple(kind for kind in VerifierKind if kind is not VerifierKind.CODE)
"""The kinds that decide anywhere; programs need a sandbox."""

_CATEGORIES = {
    VerifierKind.MATH: Category.MATH,
    VerifierKind.CHOICE: Category.SCIENCE,
    VerifierKind.TOOL_CALL: Category.TOOL_USE,
    VerifierKind.CODE: Category.CODE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledCase:
    """One answer with the outcome that it deserves; `group` names the kind of difficulty."""

    id: str
    group: str
    expected: Outcome
    reference: str | None = None
    answer: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def query(self, kind: VerifierKind) -> Query:
        """The query that the answer belongs to, as its verifier sees it."""
        return Query(
            messages=(Message(role=Role.USER, content=self.id),),
            category=_CATEGORIES.get(kind, Category.GENERAL),
            source="labelled cases",
            licence="Apache-2.0",
            reference=self.reference,
            verifier=VerifierSpec(kind=kind, options=self.options),
        )

    def candidate(self) -> Candidate:
        """The answer, as its verifier sees it."""
        return Candidate(
            position=0, mode=Mode.OFF, model="labelled", answer=self.answer, calls=(), tool_calls=self.tool_calls
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate:
    """How one verifier did on its labelled cases; `sha256` is the case file's, hex.

    `wrong` counts every outcome that is not the expected one. Among them, `false_correct` are wrong answers that it
    took for correct, `false_incorrect` right ones that it took for incorrect, and `undecided` definite ones that it
    left open.
    """

    verifier: str
    cases: int
    wrong: int
    false_correct: int
    false_incorrect: int
    undecided: int
    sha256: str


def cases(kind: VerifierKind) -> tuple[LabelledCase, ...]:
    """Return the labelled cases of one kind of verifier, in the file's order."""
    return tuple(from_json(LabelledCase, line) for line in _file(kind).splitlines() if line.strip())


def named(kinds: Iterable[VerifierKind]) -> dict[str, dict[str, str]]:
    """Return by kind the verifier's name and the sha256 of its labelled cases, hex: alike on every machine."""
    return {kind.value: {"verifier": NAMES[kind], "sha256": sha256(_file(kind)).hex()} for kind in kinds}


def error_rates(verifiers: Verifiers | None = None, kinds: Iterable[VerifierKind] = KINDS) -> dict[str, ErrorRate]:
    """Run the verifiers of `kinds` on their labelled cases and return their errors by kind; takes some seconds."""
    if verifiers is not None:
        return {kind.value: _error_rate(verifiers, kind) for kind in kinds}
    with Verifiers() as own:
        return error_rates(own, kinds)


def _error_rate(verifiers: Verifiers, kind: VerifierKind) -> ErrorRate:
    outcomes = list(_outcomes(verifiers, kind))
    wrong = [(expected, found) for _, expected, found in outcomes if expected is not found]
    return ErrorRate(
        verifier=outcomes[0][0],
        cases=len(outcomes),
        wrong=len(wrong),
        false_correct=sum(found is Outcome.CORRECT for _, found in wrong),
        false_incorrect=sum(pair == (Outcome.CORRECT, Outcome.INCORRECT) for pair in wrong),
        undecided=sum(found is Outcome.UNDECIDED for _, found in wrong),
        sha256=sha256(_file(kind)).hex(),
    )


def _outcomes(verifiers: Verifiers, kind: VerifierKind) -> Iterator[tuple[str, Outcome, Outcome]]:
    for case in cases(kind):
        verdict = verifiers.verify(case.query(kind), case.candidate())
        assert verdict is not None
        yield verdict.verifier, case.expected, verdict.outcome


def _file(kind: VerifierKind) -> bytes:
    return (files("kat_data.verifiers") / "cases" / f"{kind.value}.jsonl").read_bytes()
