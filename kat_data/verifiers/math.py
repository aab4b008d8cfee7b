"""Maths: the final answer against the reference, by exact arithmetic or by math-verify in a process of its own.

Two answers are equal if their values are, whatever the form: 50 % is 0.5, `x = 5` is `5`, an absent unit is forgiven
and a different one is not, tuples are ordered, sets and bare lists are not. A hedge (`3 or 4`) equals no single value.
What cannot be read or computed within the limits is undecided.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.verifiers.math_answer import (
    Answer,
    is_name,
    make_answer,
    sides,
    split_approximation,
    split_members,
    without_membership,
)
from kat_data.verifiers.math_extract import extract, is_code
from kat_data.verifiers.math_limits import over_limit
from kat_data.verifiers.math_pool import MathPool
from kat_data.verifiers.math_text import normalise
from kat_data.verifiers.math_units import same_unit
from kat_data.verifiers.math_value import exact, split_percent

_SHOWN = 500
_UNORDERED = frozenset({"", "{}"})
_INEQUALITY = re.compile(r"[<>]|\\(?:l|g)(?:e|t|eq|eqslant)?(?![A-Za-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one layer found; `note` says more where the layer's name is not enough."""

    status: Status
    layer: str
    note: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def _equal(equal: bool, layer: str, note: str = "") -> Decision:
    return Decision(status=Status.CORRECT if equal else Status.INCORRECT, layer=layer, note=note)


class MathVerifier:
    """Decides whether a reply's final answer equals the query's reference; `close` ends its worker processes."""

    name = "math/1"

    def __init__(self, pool: MathPool | None = None) -> None:
        self._pool = pool or MathPool()

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Return the verdict; blocks for up to the pool's deadline, raises `VerifierFault` if the workers break."""
        gold = extract(normalise(query.reference or ""))
        found = extract(normalise(candidate.answer))
        if not gold.text:
            return self._verdict(
                Decision(status=Status.NOT_VERIFIED, layer="reference", note="no reference"), gold.text, "", ""
            )
        decision = self.decide(gold.text, found.text)
        return self._verdict(decision, gold.text, found.text, found.found)

    def decide(self, gold_text: str, answer_text: str) -> Decision:
        """Compare two extracted answers; the first layer that can decide does."""
        gold, answer = make_answer(gold_text), make_answer(answer_text)
        if not answer.text.strip("{}$ \\"):
            return Decision(status=Status.UNPARSABLE, layer="extract", note="no answer found")
        for layer in _BEFORE:
            if decision := layer(gold, answer):
                return decision
        gold, answer = _bare(gold, answer)
        for layer in _EXACT:
            if decision := layer(gold, answer):
                return decision
        return self._compute(gold, answer)

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()

    def _compute(self, gold: Answer, answer: Answer) -> Decision:
        if limit := over_limit(answer.value) or over_limit(gold.value):
            return Decision(status=Status.OVER_LIMIT, layer="limits", note=limit)
        try:
            reply = self._pool.compare(gold.value, answer.value)
        except TimeoutError:
            return Decision(status=Status.TIMEOUT, layer="math-verify", note="killed at the deadline")
        versions = reply["versions"]
        if "limit" in reply:
            status = Status.TIMEOUT if reply["limit"] == "time" else Status.OVER_LIMIT
            return Decision(status=status, layer="math-verify", note=f"out of {reply['limit']}", versions=versions)
        if not (reply["gold"] and reply["answer"]):
            which = "answer" if reply["gold"] else "reference"
            return Decision(
                status=Status.UNPARSABLE, layer="parse", note=f"the {which} is not mathematics", versions=versions
            )
        status = Status.CORRECT if reply["equal"] else Status.INCORRECT
        return Decision(status=status, layer=reply["how"], versions=versions)

    def _verdict(self, decision: Decision, gold: str, answer: str, found: str) -> Verdict:
        outcome = {Status.CORRECT: Outcome.CORRECT, Status.INCORRECT: Outcome.INCORRECT}.get(
            decision.status, Outcome.UNDECIDED
        )
        evidence: dict[str, Any] = {
            "reference": gold[:_SHOWN],
            "answer": answer[:_SHOWN],
            "found": found,
            "layer": decision.layer,
        }
        if decision.note:
            evidence["note"] = decision.note
        if decision.versions:
            evidence["versions"] = decision.versions
        return Verdict(outcome=outcome, status=decision.status, verifier=self.name, evidence=evidence)


def _text(gold: Answer, answer: Answer) -> Decision | None:
    return _equal(True, "text") if gold.squeezed == answer.squeezed else None


def _code(gold: Answer, answer: Answer) -> Decision | None:
    return Decision(status=Status.UNPARSABLE, layer="code", note="the answer is code") if is_code(answer.text) else None


def _hedged(gold: Answer, answer: Answer) -> Decision | None:
    if answer.is_hedged and not gold.is_hedged:
        return Decision(status=Status.INCORRECT, layer="hedge", note="the answer doubts or denies its own value")
    return None


def _letter(gold: Answer, answer: Answer) -> Decision | None:
    return _equal(gold.letter == answer.letter, "letter") if gold.letter else None


def _words(gold: Answer, answer: Answer) -> Decision | None:
    if gold.words is not None:
        return _equal(gold.words == answer.words, "words")
    if answer.words is not None:
        return Decision(status=Status.UNPARSABLE, layer="words", note="the answer is words, the reference is not")
    return None


def _units(gold: Answer, answer: Answer) -> Decision | None:
    return None if same_unit(gold.unit, answer.unit) else _equal(False, "unit", f"{answer.unit} is not {gold.unit}")


_BEFORE: tuple[Callable[[Answer, Answer], Decision | None], ...] = (_text, _code, _hedged, _letter, _words, _units)


def _bare(gold: Answer, answer: Answer) -> tuple[Answer, Answer]:
    """Both answers without approximations, `x ∈`, and the names that one of them, or both alike, give the value."""
    gold = gold.with_value(without_membership(split_approximation(gold.value)))
    answer = answer.with_value(without_membership(split_approximation(answer.value)))
    named, names = _unnamed(gold), _unnamed(answer)
    if named is not None and names is not None:
        return (gold.with_value(named[1]), answer.with_value(names[1])) if named[0] == names[0] else (gold, answer)
    if named is not None and "=" not in answer.value:
        return gold.with_value(named[1]), answer
    if "=" not in gold.value and names is not None:
        return gold, answer.with_value(names[1])
    parts = sides(answer.value)
    if "=" not in gold.value and len(parts) > 1 and parts[-1] != "0" and len(answer.members) == 1:
        return gold, answer.with_value(parts[-1])
    return gold, answer


def _unnamed(answer: Answer) -> tuple[str, str] | None:
    """Split `x = 5`, `5 = x` or `x = 1, x = 2` into the name and the value; none where it is a real equation."""
    members = [sides(member) for member in split_members(answer.value)[0]]
    if len(members) > 1 and all(len(m) == 2 and is_name(m[0]) and m[0] == members[0][0] for m in members):
        return members[0][0], ", ".join(m[1] for m in members)
    parts = sides(answer.value)
    if len(parts) >= 2 and is_name(parts[0]):
        return parts[0], parts[-1]
    if len(parts) == 2 and is_name(parts[1]) and exact(parts[0]) is not None:
        return parts[1], parts[0]
    return None


def _numbers(gold: Answer, answer: Answer) -> Decision | None:
    (one, percent), (other, percents) = split_percent(gold.value), split_percent(answer.value)
    left, right = exact(one), exact(other)
    if left is None or right is None:
        return None
    if percent != percents and left == right and abs(left) > 1:
        return _equal(True, "exact", "the percent sign is taken for an absent unit")
    return _equal(left / (100 if percent else 1) == right / (100 if percents else 1), "exact")


def _equations(gold: Answer, answer: Answer) -> Decision | None:
    one, other = len(sides(gold.value)) > 1, len(sides(answer.value)) > 1
    return _equal(False, "equation", "only one of the two is an equation") if one != other else None


def _members(gold: Answer, answer: Answer) -> Decision | None:
    """Decide on lists, sets and tuples by their number of members, and by value where all members are plain numbers."""
    if bool(_INEQUALITY.search(gold.value)) != bool(_INEQUALITY.search(answer.value)):
        return None
    several = {"\\pm", "\\mp", "\\ldots", "\\dots", "\\cup", "\\cap", "\\begin", "\\setminus", "\\mid"}
    if any(sign in gold.value or sign in answer.value for sign in several):
        return None
    one, other = gold.members, answer.members
    if len(one) == 1 and len(other) == 1:
        return None
    if len(one) != len(other):
        values = {exact(member) for member in other}
        if len(one) == 1 and None not in values and values == {exact(one[0])} and answer.has_or:
            return _equal(True, "exact", "the same value twice")
        return _equal(False, "hedge" if answer.has_or and len(one) == 1 else "members")
    left, right = [exact(member) for member in one], [exact(member) for member in other]
    if (
        None in left
        or None in right
        or (bool({gold.bracket, answer.bracket} & _UNORDERED) and not {gold.bracket, answer.bracket} <= _UNORDERED)
    ):
        return None
    if gold.bracket in _UNORDERED:
        return _equal(Counter(left) == Counter(right), "exact")
    return _equal(left == right and gold.bracket == answer.bracket, "exact")


_EXACT: tuple[Callable[[Answer, Answer], Decision | None], ...] = (_text, _numbers, _equations, _members)
