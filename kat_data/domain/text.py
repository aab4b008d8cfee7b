"""How text is normalised before it is stored, compared or hashed."""

import re
import unicodedata

_UNSEEN = re.compile("[\u200b\u200e\u200f\u2060\ufeff\u00ad\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TRAILING = re.compile(r"[ \t]+\n")


def normalise(text: str) -> str:
    """Return `text` in NFC, with `\\n` line ends, no invisible or control characters, and no white space at either end.

    Normalised text normalises to itself.
    """
    if not text.isascii():
        # Before NFC, because an invisible character may part two that NFC joins.
        text = unicodedata.normalize("NFC", _clean(text))
    elif not text.isprintable():
        text = _clean(text)
    if "\n" in text:
        text = _TRAILING.sub("\n", text)
    return text.strip()


def fold(text: str) -> str:
    """Return the normalised text with every run of white space as one space: the form that is compared and hashed."""
    text = normalise(text)
    if text.isascii() and text.isprintable() and "  " not in text:
        return text  # its only white space is single spaces
    return " ".join(text.split())


def _clean(text: str) -> str:
    """Mend line ends and drop what cannot be seen; most texts need neither, which `isprintable` tells fast."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
