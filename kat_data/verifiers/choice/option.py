"""Options of a multiple-choice question: which of them a letter or a text names."""

import re
import string
import unicodedata
from collections.abc import Callable, Sequence

from kat_data.verifiers.text_unit import seen

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|emph|rm|bf)\s*\{([^{}]*)\}")
_MARKUP = re.compile(r"[*`$]|\\[()\[\],;!]|\\displaystyle\b|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)")
_SIGNS = str.maketrans({"−": "-", "–": "-", "—": "-", "⁄": "/", "’": "'", "‘": "'", "“": '"', "”": '"'})
_ARTICLE = re.compile(r"(?:the|an?)\s+(?=\S)", re.IGNORECASE)
_ENDS = " \t\n.,;:!。，；：！、"

MOST = len(string.ascii_uppercase)
_UNKNOWN = 10
_PLACE = re.compile(r"(?:the\s+)?(\w+)\s+(?:option|choice)", re.IGNORECASE)
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")


def plain(text: str) -> str:
    """Return `text` in NFKC without invisible characters, emphasis and mathematical delimiters."""
    text = unicodedata.normalize("NFKC", _CONTROL.sub("", seen(text))).translate(_SIGNS)
    previous = None
    while previous != text:
        previous, text = text, _COMMAND.sub(r"\1", text)
    return _MARKUP.sub("", text)


class Options:
    """The options by letter; without texts, the letters A to J are options whose texts nobody knows."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._texts = [_bare(plain(text)) for text in texts[:MOST]]
        self.letters = string.ascii_uppercase[: len(self._texts) or _UNKNOWN]
        self.known = bool(self._texts)

    def by_text(self, text: str) -> str | None:
        """Return the letter of the one option that `text` is: as written, without case, without article, by place."""
        bare = _bare(text)
        if not bare:
            return None
        folds: tuple[Callable[[str], str], ...] = (str, str.casefold, lambda one: _ARTICLE.sub("", one.casefold(), 1))
        for fold in folds:
            found = [i for i, own in enumerate(self._texts) if fold(own) == fold(bare)]
            if found:
                return self.letters[found[0]] if len(found) == 1 else None
        return self._by_place(bare)

    def _by_place(self, text: str) -> str | None:
        """Return the letter of `the second option`."""
        place = _PLACE.fullmatch(text)
        number = _PLACES.index(place[1].casefold()) if place and place[1].casefold() in _PLACES else MOST
        return self.letters[number] if number < len(self.letters) else None

    def has_text(self, letter: str) -> bool:
        """Whether some option's whole text is this very letter, in this case: then the letter says nothing."""
        return letter in self._texts

    def texts_of(self, letter: str) -> tuple[str, ...]:
        """Return the writings of one option's text that count as its own: whole, and without its article."""
        place = self.letters.find(letter)
        own = self._texts[place] if 0 <= place < len(self._texts) else ""
        return tuple(dict.fromkeys(text for text in (own, _ARTICLE.sub("", own, count=1)) if text))

    def mentioned(self, text: str) -> set[str]:
        """Return the letters of the options whose texts stand in `text` as whole words."""
        folded = f" {text.casefold()} "
        return {
            letter
            for letter, own in zip(self.letters, self._texts, strict=False)
            if len(own) > 1 and re.search(rf"(?<!\w){re.escape(own.casefold())}(?!\w)", folded)
        }


def _bare(text: str) -> str:
    text = " ".join(text.split()).strip(_ENDS)
    return text[1:-1].strip(_ENDS) if text[:1] + text[-1:] in ('""', "''", "()", "[]", "「」") else text
