"""Tool calls: the functions that an answer calls, against every call that the query would accept.

The accepted calls are written as in the Berkeley Function-Calling Leaderboard's `possible_answer`: a list of `{name:
{argument: [allowed values]}}`, where `""` among the allowed values makes an argument optional and an empty list means
that no function fits. A nested object gives allowed values by key again. Where the query has tools, an argument that
its tool requires is never optional.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from kat_data.domain.candidate import Candidate
from kat_data.domain.query import Query
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Outcome, Status, Verdict
from kat_data.verifiers.tool_call.reply import UnreadableCall, call_in_text, read_calls
from kat_data.verifiers.tool_call.value import Schema, is_allowed

NAME = "tool_call/3"
MOST_CALLS = 200
"""Up to so many calls in any order are compared, each with each; more are incorrect."""

Possible = Sequence[Mapping[str, Mapping[str, Sequence[Any]]]]
"""The accepted calls: one mapping of a name to its arguments' allowed values for each call."""


class ToolCallVerifier:
    """Decides whether an answer makes exactly the accepted calls, in any order unless the spec says `ordered`."""

    name = NAME

    def verify(self, query: Query, candidate: Candidate) -> Verdict:
        """Pair every call with one accepted call; the evidence names a difference of each that has none."""
        options = query.verifier.options if query.verifier else {}
        return decide_calls(
            candidate.tool_calls,
            options.get("possible"),
            tools=query.tools,
            ordered=bool(options.get("ordered")),
            text=candidate.answer,
        )


def decide_calls(
    calls: Any, possible: Any, *, tools: Sequence[Mapping[str, Any]] = (), ordered: bool = False, text: str = ""
) -> Verdict:
    """Return the verdict on `calls`, read as `read_calls` does; what cannot be read is incorrect.

    `text` is the reply beside the calls: a call that stands there is one that should not be made, or is not in its
    field. Malformed accepted calls leave the answer not verified.
    """
    if flaw := malformed(possible):
        return _verdict(Status.NOT_VERIFIED, note=flaw)
    try:
        made = read_calls(calls)
    except UnreadableCall as error:
        return _verdict(Status.INCORRECT, calls=[], differences=[str(error)])
    schemas = _schemas(tools)
    problems = differences(made, possible, schemas, ordered=ordered)
    names = {*schemas, *(next(iter(accepted)) for accepted in possible)}
    if not problems and not possible and (written := call_in_text(text, names)):
        problems = [f"no call is expected, and the text makes one: {written}"]
    status = Status.INCORRECT if problems else Status.CORRECT
    return _verdict(status, calls=[call.name for call in made], differences=problems)


def differences(
    calls: Sequence[ToolCall],
    possible: Possible,
    schemas: Mapping[str, Schema] | None = None,
    *,
    ordered: bool = False,
) -> list[str]:
    """Return what keeps `calls` from being exactly the accepted ones, in words; an empty list if nothing does.

    `schemas` are the parameters' JSON Schemas by the function's name.
    """
    schemas = schemas or {}
    if len(calls) != len(possible):
        extra = [
            f"{call.name} is no function at hand" for call in calls if schemas and _own(call.name, schemas) is None
        ]
        return [f"{len(calls)} calls where {len(possible)} are expected", *extra]
    if ordered:
        pairs = zip(calls, possible, strict=True)
        return [problem for call, accepted in pairs if (problem := _difference(call, accepted, schemas))]
    if len(calls) > MOST_CALLS:
        return [f"{len(calls)} calls in any order, where at most {MOST_CALLS} are compared"]
    table = [[_difference(call, accepted, schemas) for accepted in possible] for call in calls]
    return [_closest(calls[i], table[i]) for i in _unmatched(table)]


def malformed(possible: Any) -> str | None:
    """Return why `possible` is no list of accepted calls, none where it is one."""
    if not isinstance(possible, list | tuple):
        return "the query names no accepted calls"
    for number, accepted in enumerate(possible, 1):
        if not isinstance(accepted, dict) or len(accepted) != 1:
            return f"accepted call {number} is not {{name: {{argument: [allowed values]}}}}"
        ((name, arguments),) = accepted.items()
        if not isinstance(arguments, dict):
            return f"accepted call {number}, {name}: its arguments are no object"
        if loose := [argument for argument, values in arguments.items() if not isinstance(values, list) or not values]:
            return f"accepted call {number}, {name}: the allowed values of {loose[0]} are no list, or an empty one"
    return None


def _schemas(tools: Sequence[Mapping[str, Any]]) -> dict[str, Schema]:
    functions = [tool.get("function", tool) for tool in tools]
    return {function["name"]: function.get("parameters") or {} for function in functions if "name" in function}


def _own(name: str, schemas: Mapping[str, Schema]) -> Schema | None:
    """The schema of the function that `name` calls, also where an endpoint wrote its dots as underscores."""
    return next((schema for known, schema in schemas.items() if _is_name(name, known)), None)


def _is_name(called: str, name: str) -> bool:
    return called in (name, name.replace(".", "_"))


def _unmatched(table: Sequence[Sequence[str | None]]) -> list[int]:
    """The calls left over when as many as possible are paired; `table` has none where a call is an accepted one."""
    fits = [[accepted for accepted, problem in enumerate(row) if problem is None] for row in table]
    partner: dict[int, int] = {}
    return [call for call in range(len(fits)) if not _pair(call, fits, partner)]


def _pair(call: int, fits: Sequence[Sequence[int]], partner: dict[int, int]) -> bool:
    """Find an accepted call for `call`, moving earlier pairs where that helps (augmenting paths, breadth first)."""
    reached_by: dict[int, int] = {}
    waiting = deque([call])
    while waiting:
        mover = waiting.popleft()
        for accepted in fits[mover]:
            if accepted in reached_by:
                continue
            reached_by[accepted] = mover
            if accepted not in partner:
                _move(accepted, call, reached_by, partner)
                return True
            waiting.append(partner[accepted])
    return False


def _move(free: int, call: int, reached_by: Mapping[int, int], partner: dict[int, int]) -> None:
    """Pair `free` with the call that reached it, and so on with what that call gives up, back to `call`."""
    held = {own: accepted for accepted, own in partner.items()}
    mover = reached_by[free]
    partner[free] = mover
    while mover != call:
        free = held[mover]
        mover = reached_by[free]
        partner[free] = mover


def _closest(call: ToolCall, problems: Sequence[str | None]) -> str:
    named = [p for p in problems if p is not None and not p.startswith("no function")]
    return (named or [p for p in problems if p is not None] or [f"{call.name} is called once too often"])[0]


def _difference(
    call: ToolCall, accepted: Mapping[str, Mapping[str, Sequence[Any]]], schemas: Mapping[str, Schema]
) -> str | None:
    ((name, allowed),) = accepted.items()
    if not _is_name(call.name, name):
        known = not schemas or _own(call.name, schemas) is not None
        return f"no function {call.name} is expected" if known else f"no function {call.name} is at hand"
    schema = _own(name, schemas) or {}
    if unknown := sorted(set(call.arguments) - set(allowed)):
        return f"{name}: unexpected argument {unknown[0]}"
    properties = schema.get("properties") or {}
    for argument, values in allowed.items():
        if argument not in call.arguments:
            if "" not in values or argument in (schema.get("required") or ()):
                return f"{name}: argument {argument} is missing"
        elif not is_allowed(call.arguments[argument], values, properties.get(argument) or {}):
            return f"{name}: argument {argument} has the value {str(call.arguments[argument])[:80]!r}"
    return None


def _verdict(status: Status, **evidence: Any) -> Verdict:
    outcomes = {Status.CORRECT: Outcome.CORRECT, Status.INCORRECT: Outcome.INCORRECT}
    return Verdict(outcome=outcomes.get(status, Outcome.UNDECIDED), status=status, verifier=NAME, evidence=evidence)
