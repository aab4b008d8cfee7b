"""What stages see of models: role members with their sampling, asked for text or for a structure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from kat_data.domain.call import Reply, Sampling, Usage
from kat_data.domain.query import Message

Structure = TypeVar("Structure", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A usable reply; `calls` are the ledger keys, hex, of every call made for it, bad ones included."""

    reply: Reply
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured(Generic[Structure]):
    """A reply that follows the schema, as a record; `usage` is of the call that brought it."""

    value: Structure
    calls: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)


class Model(Protocol):
    """One member of a role: a model with its sampling, whose calls go through the gateway.

    Both methods raise `ReplyCut`, `ReplyEmpty` or `ReplyMalformed` after the recipe's attempts; the exception's
    `calls` holds the ledger keys.
    """

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """The checkpoint of a model that changes under one name; empty where the recipe gives none."""
        ...

    @property
    def sampling(self) -> Sampling: ...

    @property
    def native_tools(self) -> bool:
        """Whether the endpoint takes `tools` itself; else stages ask for tool calls by schema."""
        ...

    @property
    def native_reasoning(self) -> bool:
        """Whether the model thinks by itself; else stages ask for the thinking in the prompt."""
        ...

    async def chat(
        self, messages: Sequence[Message], *, sample: int = 0, tools: tuple[dict[str, Any], ...] = ()
    ) -> Answer: ...

    async def ask(
        self, messages: Sequence[Message], schema: type[Structure], *, sample: int = 0
    ) -> Structured[Structure]: ...

    def once(self) -> "Model":
        """Return the same model, which does not ask again after a bad reply: for measuring, where it counts."""
        ...
