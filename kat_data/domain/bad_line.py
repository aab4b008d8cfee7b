"""Lines of an imported file that hold no query, each with its number and the reason."""

from dataclasses import dataclass
from enum import StrEnum


class BadCode(StrEnum):
    """Why a line holds no query, as a code that imports count; `sentence` explains it to people."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> "BadCode":
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    UNREADABLE = "unreadable", "The line is no row: not JSON, not CSV, not UTF-8, or cut."
    MISFIT = "misfit", "The row lacks what its preset reads, or holds something else there."
    NO_USER_TURN = "no_user_turn", "No message is the user's, or one of the user's is empty."
    TOOL_WITHOUT_SCHEMA = "tool_without_schema", "A tool has no name, or no JSON Schema of its arguments."
    DAMAGED_TEXT = "damaged_text", "The text lost characters on its way: broken escapes, replaced or private ones."
    TOO_LONG = "too_long", "The messages are longer than any query is."


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line (JSON Lines, CSV) or row (JSON, Parquet) that cannot be imported, counted from 1."""

    number: int
    reason: str
    code: BadCode = BadCode.UNREADABLE
