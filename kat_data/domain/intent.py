"""Intents: directives that a run adds to a query, so that models learn to obey users who guide the mode (§6.4)."""

import re
from dataclasses import dataclass
from enum import StrEnum

from kat_data.domain.mode import Mode

_FULL_WIDTH = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
_SENTENCE_ENDS = tuple(".!?:;。！？：；")


class Place(StrEnum):
    """Where in the conversation an intent stands."""

    FRONT = "front"
    END = "end"
    LINE_ABOVE = "line_above"
    LINE_BELOW = "line_below"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A wish for `mode`, in the words of `text`, at `place` of the user's message number `turn`, counted from 0.

    In the system text it holds for every turn. `wording` is the one of the data file that it is, or was rewritten
    from; `call` is the ledger key, hex, of the rewriting.
    """

    turn: int
    mode: Mode
    place: Place
    text: str
    wording: str
    call: str | None = None

    def governs(self, turn: int) -> bool:
        """Whether the mode of `turn` follows from it."""
        return self.place is Place.SYSTEM or self.turn == turn

    def in_user(self, message: str, turn: int) -> str:
        """Return the user's message number `turn` as the run's models and samples hold it."""
        if self.place is Place.SYSTEM or self.turn != turn:
            return message
        match self.place:
            case Place.FRONT:
                return _joined(self.text, message)
            case Place.END if message.endswith(_SENTENCE_ENDS):
                return _joined(message, self.text)
            case Place.LINE_ABOVE:
                return f"{self.text}\n\n{message}"
            case _:  # text that ends without a full stop would run into the wish
                return f"{message}\n\n{self.text}"

    def in_system(self, system: str | None) -> str | None:
        """Return the system text as the run's models and samples hold it."""
        if self.place is not Place.SYSTEM:
            return system
        return f"{system}\n\n{self.text}" if system else self.text


def _joined(first: str, second: str) -> str:
    """After a Chinese full stop no space follows."""
    gap = "" if _FULL_WIDTH.match(first[-1:]) else " "
    return f"{first}{gap}{second}"
