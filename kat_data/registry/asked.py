"""What is asked in a stored query: the texts of its user turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query by its row's id, with the texts of its user turns."""

    id: int
    texts: tuple[str, ...]


def user_texts(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the texts of the user turns among messages as they are stored."""
    return tuple(message["content"] for message in messages if message["role"] == "user")
