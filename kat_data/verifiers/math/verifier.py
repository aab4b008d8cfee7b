"""Maths: the final answer against the reference, by exact arithmetic or by math-verify in a process of its own.

Two answers are equal if their values are, whatever the form: 50 % is 0.5, `x = 5` is `5`, an absent unit is forgiven
and a different one is not, tuples are ordered, sets and bare lists are not. A hedge (`3 or 4`) equals no single value.
What cannot be read or computed within the limits is undecided.
"""

import re
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.verifiers.math.answer import Answer, make_answer, with_letter_unit
from kat_data.verifiers.math.decision import Decision
from kat_data.verifiers.math.extract import Extracted, extract, extract_reference
from kat_data.verifiers.math.family import compare_families
from kat_data.verifiers.math.framing import unknown_words
from kat_data.verifiers.math.layers import LAYERS
from kat_data.verifiers.math.limits import over_limit
from kat_data.verifiers.math.names import bare
from kat_data.verifiers.math.pool import MathPool
from kat_data.verifiers.math.text import normalise
from kat_data.verifiers.math.value import exact
from kat_data.verifiers.math.vetoes import VETOES

_SHOWN = 500
_AMBIGUOUS = re.compile(
    r"\"|(?<![A-Za-z)}\]'])'|(?<![a-z] )(?<![\^_])\b\d+(?:\.\d+)?\s+\d|\^\{[^{}]*\}\s*\d|\)\s*\d"
    r"|\\frac\s*\d\s*\d\d|(?:^|[-+*/=(,\s])\d+\s*\{\s*\d|(?<![\d.])0\s*\^\s*\{?\s*0\s*\}?(?![\d.])"
)
_TWO_WAYS = re.compile(
    r"/\s*\d+(?:\.\d+)?\s*(?!(?:and|or)\b)(?:(?P<name>[A-Za-z])|\(|\\(?:pi|sqrt|frac|sin|cos|tan|ln|log)(?![A-Za-z]))"
)
_CORE = ("math-verify", "latex2sympy2_extended", "sympy")
_OUTCOMES = {Status.CORRECT: Outcome.CORRECT, Status.INCORRECT: Outcome.INCORRECT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """What is known of one answer beside its reference.

    `status` is correct, incorrect, unparsable, over_limit or timeout, `layer` names what decided, and `evidence` holds
    both extracted answers, where the answer was found, a note and the versions of the symbolic core. `seconds` is the
    time that judging took, without the time until a worker was free and had started.
    """

    status: Status
    layer: str
    evidence: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def grade(gold: str, answer: str, pool: MathPool) -> Grade:
    """Grade a reply (or a bare answer) against a reference, symbolically where nothing simpler can decide.

    Blocks for up to the pool's deadline; raises `VerifierFault` if the workers break. A reference without a value is
    unparsable, in layer `reference`.
    """
    start = time.monotonic() - pool.waited
    reference, found = extract_reference(normalise(gold)), extract(normalise(answer))
    if reference.text:
        decision = decide(reference.text, found.text, pool)
        if decision.status is Status.CORRECT and not found.plain:
            decision = Decision(status=Status.UNPARSABLE, layer="prose", note="the sentence does not state it plainly")
    else:
        decision = Decision(status=Status.UNPARSABLE, layer="reference", note="no reference")
    return Grade(
        status=decision.status,
        layer=decision.layer,
        evidence=_evidence(decision, reference, found),
        seconds=time.monotonic() - pool.waited - start,
    )


def decide(gold_text: str, answer_text: str, pool: MathPool) -> Decision:
    """Compare two extracted answers; the first layer that can decide does, and what is too deep is over the limit.

    A value with words that are neither neutral nor the reference's (`7 fails`, `error = 7`) is never correct.
    """
    try:
        decision = _decide(gold_text, answer_text, pool)
    except RecursionError:
        return Decision(status=Status.OVER_LIMIT, layer="limits", note="nested too deeply to be compared")
    if decision.status is Status.CORRECT and (words := unknown_words(answer_text, gold_text)):
        return Decision(status=Status.UNPARSABLE, layer="prose", note=f"unknown words beside the value: {words[0]}")
    return decision


def _decide(gold_text: str, answer_text: str, pool: MathPool) -> Decision:
    gold, answer = make_answer(gold_text), make_answer(answer_text)
    gold, answer = with_letter_unit(gold, answer), with_letter_unit(answer, gold)
    if not answer.text.strip("{}$ \\"):
        return Decision(status=Status.UNPARSABLE, layer="extract", note="no answer found")
    for layer in VETOES:
        if decision := layer(gold, answer):
            return decision
    if decision := compare_families(gold, answer):
        return decision
    gold, answer = bare(gold, answer)
    for layer in LAYERS:
        if decision := layer(gold, answer):
            return decision
    return compute(gold, answer, pool)


class MathVerifier:
    """Decides whether a reply's final answer equals the query's reference; `close` ends its worker processes."""

    name = "math/3"

    def __init__(self, pool: MathPool | None = None) -> None:
        self._pool = pool or MathPool()

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Return the verdict; blocks for up to the pool's deadline, raises `VerifierFault` if the workers break."""
        found = grade(query.reference or "", candidate.answer, self._pool)
        status = Status.NOT_VERIFIED if found.layer == "reference" else found.status
        return Verdict(
            outcome=_OUTCOMES.get(status, Outcome.UNDECIDED),
            status=status,
            verifier=self.name,
            evidence={"layer": found.layer, **found.evidence},
        )

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()


def compute(gold: Answer, answer: Answer, pool: MathPool) -> Decision:
    """Compare two answers by computer algebra, within the limits and the pool's deadline."""
    if any(map(_AMBIGUOUS.search, (answer.value, gold.value))) or _reads_two_ways(answer, gold):
        return Decision(
            status=Status.UNPARSABLE,
            layer="parse",
            note="numbers or quotes side by side, 1/2x, or 0^0, have no one meaning",
        )
    if limit := over_limit(answer.value) or over_limit(gold.value):
        return Decision(status=Status.OVER_LIMIT, layer="limits", note=limit)
    try:
        reply = pool.compare(gold.value, answer.value)
    except TimeoutError:
        return Decision(status=Status.TIMEOUT, layer="math-verify", note="killed at the deadline")
    if "limit" in reply:
        status = Status.TIMEOUT if reply["limit"] == "time" else Status.OVER_LIMIT
        return Decision(status=status, layer="math-verify", note=f"out of {reply['limit']}")
    if not (reply["gold"] and reply["answer"]):
        which = "answer" if reply["gold"] else "reference"
        return Decision(status=Status.UNPARSABLE, layer="parse", note=f"the {which} is not mathematics")
    return Decision(status=Status.CORRECT if reply["equal"] else Status.INCORRECT, layer=reply["how"])


def _reads_two_ways(answer: Answer, gold: Answer) -> bool:
    """Whether one of the two is like `1/2x`, which people read as `x/2` or `1/(2x)`; beside a number it is neither."""
    for one, other in ((answer, gold), (gold, answer)):
        if (match := _TWO_WAYS.search(one.value)) and not (match["name"] and exact(other.value) is not None):
            return True
    return False


def _evidence(decision: Decision, reference: Extracted, found: Extracted) -> dict[str, Any]:
    evidence = {"reference": reference.text[:_SHOWN], "answer": found.text[:_SHOWN], "found": found.found}
    return {**evidence, **({"note": decision.note} if decision.note else {}), "versions": dict(core_versions())}


@cache
def core_versions() -> tuple[tuple[str, str], ...]:
    """The versions of the packages that make up the symbolic core, by package."""
    return tuple((package, version(package)) for package in _CORE)
