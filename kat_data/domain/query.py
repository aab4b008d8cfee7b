"""Queries: tasks to answer, with the content hash that makes two of them the same."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kat_data.domain.category import Category
from kat_data.domain.text import fold
from kat_data.domain.tool_call import ToolCall
from kat_data.hashing import ADDED_LATER, content_hash


class Role(StrEnum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation.

    The messages of tools that follow an assistant's message are the results of its `tool_calls`, in their order.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = field(default=(), metadata=ADDED_LATER)


NEVER_LEFT_OUT = frozenset({Role.USER, Role.TOOL})
"""Roles whose messages count even when they are empty.

Any other empty message says nothing, unless it calls tools.
"""


class VerifierKind(StrEnum):
    """Which verifier can decide on answers to a query."""

    MATH = "math"
    CHOICE = "choice"
    CODE = "code"
    TOOL_CALL = "tool_call"
    KEYWORD = "keyword"
    FORMAT = "format"
    CLASSIFIER = "classifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierSpec:
    """How to verify answers: the kind, and what that kind needs beside the reference.

    `options` by kind: choice {"choices": [str]}, code {"tests": [str], "setup": str, "entry": str} for functions or
    {"cases": [{"stdin": str, "expected": str, "tol": float}], "checker": str, "language": "python" or "cpp"} for
    programs that read and print, and for both {"limits": {"wall_s": float, "memory_mb": int, ...}},
    tool_call {"possible": BFCL's list of {name: {argument: [allowed]}}, "ordered": bool},
    keyword {"keywords": [str or [synonym]], "minimum": share, "forbidden": [str], "inflected": bool},
    classifier {"model": path or value, or "examples": [[text, label]], "label": str, "minimum": probability},
    format {"json": bool or "bare" or "fenced", "required_keys": [str], "min_words": int, "max_words": int,
    "must_include": [str], "must_not_include": [str], "language": "en", and the other checks of
    `verifiers.format.check.CHECKS`}.
    """

    kind: VerifierKind
    options: dict[str, Any] = field(default_factory=dict)


class ReferenceOrigin(StrEnum):
    """Who says that the reference is right: the query's source, or the majority of models (a soft label, §4.1.2)."""

    SOURCE = "source"
    SOFT = "soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One task: messages, tools in OpenAI's fields, and what is known of the right answer.

    A conversation's assistant messages are the source's own; a run answers every user turn anew.
    `source` and `licence` are kept as given. Only a run's own copy of a query ever has a soft reference. `document`
    names what in the source it was made of, where that is known: splits never part what one document gave.
    """

    messages: tuple[Message, ...]
    category: Category
    source: str
    licence: str
    tools: tuple[dict[str, Any], ...] = ()
    reference: str | None = None
    verifier: VerifierSpec | None = None
    reference_origin: ReferenceOrigin = ReferenceOrigin.SOURCE
    document: str | None = field(default=None, metadata=ADDED_LATER)

    @property
    def hash(self) -> bytes:
        """The 32-byte content hash over normalised messages and tools: equal hash = exact duplicate."""
        return query_hash(self.messages, self.tools)

    @property
    def user_turns(self) -> tuple[str, ...]:
        """The texts of the user's messages, in order."""
        return tuple(m.content for m in self.messages if m.role is Role.USER)

    @property
    def system(self) -> str | None:
        """The text of the leading system message, if there is one."""
        first = self.messages[0] if self.messages else None
        return first.content if first and first.role is Role.SYSTEM else None


def query_hash(messages: tuple[Message, ...], tools: tuple[dict[str, Any], ...]) -> bytes:
    """Hash messages (NFC, white space folded, case kept, those that say nothing left out) and tools into 32 bytes."""
    said = [
        (m.role.value, text, m.tool_calls) if m.tool_calls else (m.role.value, text)
        for m in messages
        if (text := fold(m.content)) or m.tool_calls or m.role in NEVER_LEFT_OUT
    ]
    return content_hash({"messages": said, "tools": tools})
