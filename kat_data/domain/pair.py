"""Query–verifier pairs (§4.2.3): what reinforcement learning is fed with, a prompt and how to reward its answers."""

from dataclasses import dataclass
from typing import Any

from kat_data.domain.query import Message, Query, Role, VerifierSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An accepted query without an answer: the messages up to the last user turn, tools, verifier and reference."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    verifier: VerifierSpec
    reference: str | None


def pair_of(query: Query) -> Pair:
    """Return the pair of a query that has a verifier."""
    if query.verifier is None:
        raise ValueError("a pair needs a verifier")
    last = max(number for number, message in enumerate(query.messages) if message.role is Role.USER)
    return Pair(
        messages=query.messages[: last + 1], tools=query.tools, verifier=query.verifier, reference=query.reference
    )
