"""What stages see of models: role members with their sampling, asked for text or for a structure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from kat_data.domain.call import Reply, Sampling
from kat_data.domain.query import Message

Structure = TypeVar("Structure", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A usable reply; `calls` are the ledger keys, hex, of every call made for it, bad ones included.

    `tokens` are the completion tokens of all of them.
    """

    reply: Reply
    calls: tuple[str, ...]
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured(Generic[Structure]):
    """A reply that follows the schema, as a record; calls and tokens as an `Answer` has them."""

    value: Structure
    calls: tuple[str, ...]
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewards:
    """What a reward model gives an answer: from 0, the worst, to 1, by the names of its heads."""

    values: Mapping[str, float]
    calls: tuple[str, ...]


class Model(Protocol):
    """One member of a role: a model with its sampling, whose calls go through the gateway.

    All methods raise `ReplyCut`, `ReplyEmpty` or `ReplyMalformed` after the recipe's attempts; the exception's
    `calls` holds the ledger keys and `tokens` what was written in vain.
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

    @property
    def gives_rewards(self) -> bool:
        """Whether it is a reward model, which knows `reward` alone; others know `chat` and `ask` alone."""
        ...

    async def chat(
        self, messages: Sequence[Message], *, sample: int = 0, tools: tuple[dict[str, Any], ...] = ()
    ) -> Answer: ...

    async def ask(
        self, messages: Sequence[Message], schema: type[Structure], *, sample: int = 0
    ) -> Structured[Structure]: ...

    def once(self) -> "Model":
        """Return the same model, which does not ask again after a bad reply: for measuring, where it counts."""

    async def reward(self, messages: Sequence[Message]) -> Rewards:
        """Score the last message, an answer to those before."""
        ...
