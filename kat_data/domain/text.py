"""How text is normalised before it is stored, compared or hashed."""

import re
import unicodedata

# What a model reads and nobody sees: terminal codes, C0 and C1 controls but tab and line end, soft hyphens, zero-width
# spaces and joiners of words, direction marks and overrides, invisible operators, tag characters. The zero-width joiner
# and non-joiner stay: Persian, Indic scripts and emoji are written with them.
_UNSEEN = re.compile(
    "\x1b\\[[0-9;?]*[A-Za-z]"
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_END = re.compile("\r\n|[\r\x85\u2028\u2029]")
# A control that is a letter's escape, before the rest of a word: `\frac` read as form feed and `rac`.
_BROKEN_ESCAPE = re.compile(r"(?<![\n\x0c])[\x07\x08\x0b\x0c][a-z]+")
_LOST = re.compile("[\ufffd\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff]")
_TRAILING = re.compile(r"[ \t]+\n")


def normalise(text: str) -> str:
    """Return `text` in NFC, with `\\n` line ends, nothing that cannot be seen, and no white space at either end.

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


def storable(text: str) -> str:
    """Return `text` without what no database holds: the character NUL, and lone surrogates (which become `?`)."""
    text = text.replace("\0", "")
    return text if text.isascii() else text.encode(errors="replace").decode()


def damage(text: str) -> str | None:
    """Return why `text`, as it came, lost something that cannot be put back, as the end of a sentence; else none.

    What is merely unseen is no damage: `normalise` drops it.
    """
    if _is_printable(text) and "\ufffd" not in text:
        return None
    if broken := _BROKEN_ESCAPE.search(text):
        letter = "abvf"["\x07\x08\x0b\x0c".index(broken[0][0])]
        return f"holds the control character U+{ord(broken[0][0]):04X} before `{broken[0][1:]}`: was it `\\{letter}…`?"
    if lost := _LOST.search(text):
        return f"holds U+{ord(lost[0]):04X}, {_lost(lost[0])}"
    return None


def _clean(text: str) -> str:
    """Mend line ends and drop what cannot be seen; most texts need neither."""
    if _is_printable(text):
        return text
    return _UNSEEN.sub("", _LINE_END.sub("\n", text))


def _lost(character: str) -> str:
    if character == "\ufffd":
        return "which stands for a character that could not be read"
    if "\ud800" <= character <= "\udfff":
        return "a lone surrogate, which is not valid Unicode"
    if "\ufdd0" <= character <= "\ufdef" or character in "\ufffe\uffff":
        return "which is no character"
    return "a private character, which means something only in the font that it came from"


def _is_printable(text: str) -> bool:
    """Whether `text` holds only what can be seen, plain spaces, tabs and line ends; far faster than a pattern."""
    return text.replace("\n", "").replace("\t", "").isprintable()
