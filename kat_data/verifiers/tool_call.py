"""Tool calls: the functions that an answer calls, against every call that the query would accept.

The accepted calls are written as in the Berkeley Function-Calling Leaderboard's `possible_answer`: a list of `{name:
{argument: [allowed values]}}`, where `""` among the allowed values makes an argument optional and an empty list means
that no function fits. A nested object gives allowed values by key again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kat_data.domain.candidate import Candidate, ToolCall
from kat_data.domain.query import Query
from kat_data.domain.verdict import Outcome, Status, Verdict

_FOLDED = re.compile(r"[\s,./\-_*^\"'’‘“”]+")
_DEPTH = 20


class ToolCallVerifier:
    """Decides whether an answer makes exactly the accepted calls, in any order."""

    name = "tool_call/1"

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Pair every call with one accepted call; the evidence names a difference of each that has none."""
        possible = query.verifier.options.get("possible") if query.verifier else None
        if not isinstance(possible, list):
            note = "the query names no accepted calls"
            return Verdict(
                outcome=Outcome.UNDECIDED, status=Status.NOT_VERIFIED, verifier=self.name, evidence={"note": note}
            )
        problems = differences(candidate.tool_calls, possible)
        return Verdict(
            outcome=Outcome.INCORRECT if problems else Outcome.CORRECT,
            status=Status.INCORRECT if problems else Status.CORRECT,
            verifier=self.name,
            evidence={"calls": [call.name for call in candidate.tool_calls], "differences": problems},
        )


def differences(calls: Sequence[ToolCall], possible: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what keeps `calls` from being exactly the accepted ones, in words; an empty list if nothing does."""
    if len(calls) != len(possible):
        return [f"{len(calls)} calls where {len(possible)} are expected"]
    fits = [[_difference(call, accepted) is None for accepted in possible] for call in calls]
    partner: dict[int, int] = {}
    unmatched = [i for i in range(len(calls)) if not _pair(i, fits, partner, set())]
    return [_closest(calls[i], possible) for i in unmatched]


def _pair(call: int, fits: list[list[bool]], partner: dict[int, int], tried: set[int]) -> bool:
    """Find an accepted call for `call`, moving earlier pairs where that helps (augmenting paths)."""
    for accepted, fit in enumerate(fits[call]):
        if fit and accepted not in tried:
            tried.add(accepted)
            if accepted not in partner or _pair(partner[accepted], fits, partner, tried):
                partner[accepted] = call
                return True
    return False


def _closest(call: ToolCall, possible: Sequence[Mapping[str, Any]]) -> str:
    problems = [_difference(call, accepted) for accepted in possible]
    named = [p for p in problems if p is not None and not p.startswith("no function")]
    return (named or [p for p in problems if p is not None] or [f"{call.name} is called once too often"])[0]


def _difference(call: ToolCall, accepted: Mapping[str, Any]) -> str | None:
    ((name, allowed),) = accepted.items()
    if call.name != name and call.name != name.replace(".", "_"):
        return f"no function {call.name} is expected"
    if unknown := sorted(set(call.arguments) - set(allowed)):
        return f"{name}: unexpected argument {unknown[0]}"
    for argument, values in allowed.items():
        if argument not in call.arguments:
            if "" not in values:
                return f"{name}: argument {argument} is missing"
        elif not _allowed(call.arguments[argument], values):
            return f"{name}: argument {argument} has the value {str(call.arguments[argument])[:80]!r}"
    return None


def _allowed(value: Any, values: Sequence[Any], depth: int = 0) -> bool:
    return depth < _DEPTH and any(_same(value, one, depth) for one in values)


def _same(value: Any, wanted: Any, depth: int) -> bool:
    if isinstance(wanted, dict):
        return isinstance(value, dict) and _same_object(value, wanted, depth)
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_allowed(item, [other], depth + 1) for item, other in zip(value, wanted, strict=True))
        )
    if isinstance(wanted, str):
        return isinstance(value, str) and _fold(value) == _fold(wanted)
    if isinstance(wanted, float):
        return isinstance(value, int | float) and not isinstance(value, bool) and value == wanted
    return type(value) is type(wanted) and bool(value == wanted)


def _same_object(value: dict[str, Any], wanted: dict[str, Any], depth: int) -> bool:
    """Compare an object with accepted values by key; what is no list of alternatives is the only one accepted."""
    alternatives = {key: values if isinstance(values, list) else [values] for key, values in wanted.items()}
    present = all(key in value or "" in values for key, values in alternatives.items())
    return present and all(
        key in alternatives and _allowed(item, alternatives[key], depth + 1) for key, item in value.items()
    )


def _fold(text: str) -> str:
    return _FOLDED.sub("", text).casefold()
