"""A script that knows the references: it answers queries right at a given rate, and otherwise as `obedient` does."""

from collections.abc import Iterable
from typing import Any

import orjson

from kat_data.domain.call import Reply
from kat_data.domain.query import Query, Role, VerifierKind
from kat_data.domain.text import fold
from kat_data.hashing import canonical_json, draw
from kat_data.testing.fabricate import fabricate
from kat_data.testing.obedient import obedient, reply_to

_WHOLE = 1 << 64


class Oracle:
    """The script of a model that is right in a share `right` of its answers, and judges answers good in that share.

    It votes think-on in a share `on` of its votes; in a share `steady` of the conversations every turn gets the votes
    of the first, in the others each its own. The same body always gets the same reply.
    """

    def __init__(self, queries: Iterable[Query], *, right: float = 0.8, on: float = 0.67, steady: float = 0.5) -> None:
        known = list(queries)
        self._known = {fold(query.user_turns[-1]): query for query in known}
        self._openings = sorted({fold(query.user_turns[0]) for query in known if len(query.user_turns) > 1}, key=len)
        self._steady = steady
        self._right = right
        self._on = on

    def __call__(self, body: dict[str, Any]) -> Reply:
        seed = draw(int(body.get("seed") or 0), canonical_json(body["messages"]))
        schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
        if schema is not None:
            return reply_to(body, orjson.dumps(self._structured(body, schema, seed)).decode())
        query = self._query(body)
        if query is None or self._errs(seed):
            return obedient(body)
        return reply_to(body, f"The steps are few and short.\n\n{_right_answer(query)}")

    def _structured(self, body: dict[str, Any], schema: dict[str, Any], seed: int) -> dict[str, Any]:
        fields: dict[str, Any] = fabricate(schema, seed)
        if "mode" in fields:
            fields["mode"] = "think_on" if self._mood(body, seed) / _WHOLE < self._on else "think_off"
        if "good" in fields:
            fields["good"] = not self._errs(seed)
        if "calls" in fields and _tells_results(body["messages"][-1]):
            fields["calls"] = []  # the results are there: what is left is to answer
        elif "calls" in fields and (query := self._query(body)) is not None and not self._errs(seed):
            fields["calls"] = _right_calls(query)
        return fields

    def _mood(self, body: dict[str, Any], seed: int) -> int:
        """Draw for a vote: of a steady conversation by what it was opened with, else by what is asked."""
        asked = fold(str(body["messages"][-1]["content"]))
        opening = next((text for text in reversed(self._openings) if text in asked), None)
        if opening is None or draw(0, opening) / _WHOLE >= self._steady:
            return seed
        return draw(int(body.get("seed") or 0), opening)

    def _errs(self, seed: int) -> bool:
        return seed * 2654435761 % _WHOLE / _WHOLE >= self._right

    def _query(self, body: dict[str, Any]) -> Query | None:
        asked = [message["content"] for message in body["messages"] if message["role"] == Role.USER]
        return self._known.get(fold(asked[-1])) if asked else None


def _tells_results(message: dict[str, Any]) -> bool:
    """Whether the message holds results of tools, which models without tools of their own are told as text."""
    return message["role"] == Role.TOOL or str(message["content"]).startswith("Result of ")


def _right_answer(query: Query) -> str:
    match query.verifier.kind if query.verifier else None:
        case VerifierKind.CODE:
            return f"The result is this program.\n\n```python\n{query.reference}\n```"
        case VerifierKind.CHOICE:
            return f"The result is clear.\n\nAnswer: {query.reference}"
        case VerifierKind.MATH:
            return f"The result follows: \\boxed{{{query.reference}}}"
        case _:
            return f"The result: {query.reference or 'it depends, and here is on what.'}"


def _right_calls(query: Query) -> list[dict[str, Any]]:
    possible = query.verifier.options.get("possible", []) if query.verifier else []
    return [
        {"name": name, "arguments": {key: _plain(values) for key, values in arguments.items() if _plain(values) != ""}}
        for call in possible
        for name, arguments in call.items()
    ]


def _plain(allowed: Any) -> Any:
    """Return the first of the allowed values, with the alternatives inside it resolved too."""
    if not isinstance(allowed, list) or not allowed:
        return allowed
    first = allowed[0]
    return {key: _plain(value) for key, value in first.items()} if isinstance(first, dict) else first
