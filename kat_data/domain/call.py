"""Calls: requests to models and their replies, with the key that the ledger pays once (architecture §6)."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from kat_data.domain.query import Message
from kat_data.domain.tool_call import ToolCall
from kat_data.hashing import content_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters as endpoints take them.

    `seed` is the base to which the sample index is added (none sends no seed).
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int | None = None


class Api(StrEnum):
    """How a model is asked: chats answer in text, embeddings are of texts, the others give numbers for an answer."""

    CHAT = "chat"
    CLASSIFY = "classify"
    SCORE = "score"
    POOLING = "pooling"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One request to one model: everything that decides the reply, and nothing of where the model is served.

    `schema` is a JSON Schema that the reply must follow, `sample` the index of the draw, `attempt` counts up after a
    bad reply. `revision` names the checkpoint of a model that changes under one name.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    revision: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    schema: dict[str, Any] | None = None
    sample: int = 0
    attempt: int = 0
    api: Api = Api.CHAT
    _key: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def key(self) -> bytes:
        """The 32-byte ledger key over the whole record."""
        if self._key is None:
            # Every call is asked for its key several times, and hashing costs more than all else done for it.
            content = {field.name: getattr(self, field.name) for field in fields(self) if field.compare}
            if self.api is Api.CHAT:  # chats keep the keys that they had when there was nothing else
                del content["api"]
            object.__setattr__(self, "_key", content_hash(content))
        return self._key  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest(CallRequest):
    """Texts to embed, one message each."""

    sampling: Sampling = Sampling(max_tokens=0)
    api: Api = Api.EMBEDDINGS


class FinishReason(StrEnum):
    """Why the model stopped; anything an endpoint says beside these is `other`."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the endpoint counted them; `estimated` where it did not count."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model answered; `reasoning` is its native thinking, kept apart from `text`."""

    text: str
    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Money per million tokens, in US dollars."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, usage: Usage) -> float:
        """Return the price of `usage` in US dollars."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money (US dollars) and tokens, as estimated before a call or as counted after it."""

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, other: "Charge") -> "Charge":
        return Charge(usd=self.usd + other.usd, tokens=self.tokens + other.tokens)
