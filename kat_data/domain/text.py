"""How text is normalised before it is stored, compared or hashed."""

import re
import unicodedata

_INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff\u00ad]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TRAILING = re.compile(r"[ \t]+\n")


def normalise(text: str) -> str:
    """Return `text` in NFC, with `\\n` line ends, no invisible or control characters, and no white space at either end."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _CONTROL.sub("", _INVISIBLE.sub("", text))
    return _TRAILING.sub("\n", text).strip()


def fold(text: str) -> str:
    """Return the normalised text with every run of white space as one space: the form that is compared and hashed."""
    return " ".join(normalise(text).split())
