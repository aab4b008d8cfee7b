"""One mathematical answer, cleaned and taken apart: its value, unit, and members where it is a list, set or tuple."""

import re
from dataclasses import dataclass
from functools import cached_property

from kat_data.verifiers.math.extract import boxes, collapse
from kat_data.verifiers.math.notation import one_spelling
from kat_data.verifiers.math.text import power_signs
from kat_data.verifiers.math.units import QUALIFIED, split_letter, split_unit

_DELIMITERS = re.compile(r"\$\$|(?<!\\)\$(?!\s*-?[\d.])|(?<=[^\s$])\$(?=\s*$)|(?<!\\)\\[()\[\]]|\*\*")
_COLOURED = re.compile(r"\\textcolor\s*\{[^{}]*\}\s*\{([^{}]*)\}|\\color\s*\{[^{}]*\}")
_PAIR = re.compile(r"^\$([^$]+)(?<![\\ ])\$(?!\d)")
_ABOUT = re.compile(r"^\s*\$?~\s*(?=\$?-?[\d\\])")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{(?:align|equation|gather)(?:ed)?\*?\}")
_PER_CENT = re.compile(r"(?<=\d)\s*per cent\b", re.IGNORECASE)
_SPACING = re.compile(
    r"(?<!\\)\\(?:[,;:! ]|quad\b|qquad\b|displaystyle\b|textstyle\b|left\b(?!arrow)|right\b(?!arrow)|[bB]igg?[lr]?\b)|~"
)
_FRACTIONS = re.compile(r"\\[dtc]frac(?![a-z])")
_UPRIGHT = re.compile(
    r"\\(?:text|mathrm|textbf|mathbf|textrm|textit|mbox|textsf|mathsf|rm|operatorname)\s*\{([^{}]*)\}"
)
_BARE_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)")
_REALS = re.compile(r"(?:[a-zA-Z]\s*\\in\s*)?\\(?:mathbb|mathbf|mathcal)\s*(?:\{\s*R\s*\}|R)|\\Reals")
_QUOTED = re.compile(r"^[\"'`]+([^\"'`]*)[\"'`]+$")
_VECTOR = re.compile(r"\\langle(?![A-Za-z])([^<>]*?)\\rangle(?![A-Za-z])")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\{\\,\}|,\s*\\!|\\,)(?=\d{3}(?!\d))")
_BOX_DEPTH = 4
_PLAIN_SET = re.compile(r"^\{([^{}]*,[^{}]*)\}$")
_APPROXIMATELY = re.compile(r"^(.*\S)\s*(?:\\approx|\\simeq|\\doteq)\b.*$", re.DOTALL)
_MEMBERSHIP = re.compile(r"^[A-Za-z]\w*\s*\\in(?![a-z])\s*")
_EQUALS = re.compile(r"(?<![<>!:\\])=(?!=)")
_NAME = re.compile(
    r"(?:[A-Za-z](?:_\{?\\?[A-Za-z0-9]+\}?|')*|\\[a-z]+(?:_\{?[A-Za-z0-9]+\}?)?|[A-Z]{2,4}|\|[A-Z]{2}\||\\angle\s*[A-Z]{1,3}"
    r"|m\s*\\angle\s*[A-Z]{1,3}|[A-Za-z]'*\s*\(\s*[A-Za-z\d]\s*\)|\\frac\s*\{d[a-z]\}\s*\{d[a-z]\}|\(\s*[A-Za-z](?:\s*,\s*[A-Za-z])+\s*\))"
)
_SEPARATOR = re.compile(
    r"\\text\s*\{\s*,?\s*(and|or|和|或)\s*\}|,?\s*(?<![A-Za-z\\])(and|or)(?![A-Za-z])|(和|或)|([,;])"
)
_WORDS = re.compile(r"[A-Za-z\u4e00-\u9fff][A-Za-z\u4e00-\u9fff' \-,.]*")
_YES_NO = re.compile(r"(yes|no|true|false)\s*[,;]\s", re.IGNORECASE)
_CONTRARY = re.compile(r"\b(?:yes|no|true|false|but|or)\b", re.IGNORECASE)
_EMPTY_WORDS = frozenset({"", "the", "a", "an", "there", "is", "are"})
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
}
_NUMBER_WORDS |= {word: str(number) for number, word in enumerate("零一二三四五六七八九十")}
_NEGATIVE = re.compile(r"^(?:negative|minus)\s+(?=[\d\\])", re.IGNORECASE)
_ONLY = re.compile(r"^(?:exactly|only|just|precisely)\s+(?=[-\d\\])", re.IGNORECASE)
_LETTER = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice)\s+|故?选项?\s*)?[(\[]?\s*([A-J])\s*(?:[)\]][.:]?|[.:)](?:\s.*)?)?", re.DOTALL
)
_OPTION = re.compile(r"\([A-J]\)|\b(?:or|and)\s+[A-J]\b")
_HEDGED = re.compile(
    r"(?<!\\)\b(?:not|never)\b|n't\b|^(?:(?:about|around|nearly|over|under|above|below|any)\b|约|至少|至多)|\?\s*$"
    r"|^(?:[A-Za-z]\w*\s*)?\\(?:approx|ne|neq|neg|sim|simeq|cong|doteq)(?![A-Za-z])"
    r"|\b(?:wrong|incorrect|maybe|perhaps|possibly|probably|guess|either|approximately|roughly"
    r"|except|anything but|at (?:least|most)|(?:more|less|fewer|greater|larger|smaller) than|up to|between|or so)\b"
    r"|\d[- ]?ish\b"
    r"|不是|不对|错误|大约|可能|也许",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer's expression without delimiters (`text`), its value without the unit, and the folded unit."""

    text: str
    value: str
    unit: str

    @property
    def squeezed(self) -> str:
        """The text without upright type and white space: what is compared as text."""
        return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", _UPRIGHT.sub(r"\1", self.text)).rstrip(".")

    @property
    def letter(self) -> str | None:
        """The one choice letter (A to J) that the answer is, or none."""
        match = _LETTER.fullmatch(_UPRIGHT.sub(r"\1", self.text).strip())
        return match.group(1) if match and not _OPTION.search(match.group(), match.end(1) + 1) else None

    @property
    def words(self) -> str | None:
        """The answer as folded words where it is a phrase and not mathematics, or none."""
        upright = _QUOTED.sub(r"\1", _UPRIGHT.sub(r"\1", self.text).strip(' .,"'))
        upright = upright.rstrip("!") if len(upright) > 2 else upright
        if (match := _YES_NO.match(upright)) and not _CONTRARY.search(upright, match.end()):
            return match.group(1).lower()
        if not _WORDS.fullmatch(upright) or "\\" in upright:
            return None
        if upright == self.text and len(upright) <= 3 and upright.lower() not in {"yes", "no"} and upright.isascii():
            return None
        return " ".join(w for w in re.split(r"[\s,.]+", upright.lower()) if w not in _EMPTY_WORDS)

    @property
    def is_hedged(self) -> bool:
        """Whether the answer denies or doubts its own value (`not 3`, `about 5`)."""
        plain = _UPRIGHT.sub(r"\1", self.text).strip()
        return bool(_HEDGED.search(plain) or QUALIFIED.search(plain))

    @cached_property
    def members(self) -> tuple[str, ...]:
        """What stands between top-level commas, `and` and `or`: one member for a single value."""
        return split_members(self.body)[0]

    @property
    def has_or(self) -> bool:
        return split_members(self.value)[1]

    @property
    def bracket(self) -> str:
        """The pair of brackets around the whole value, empty where there is none; `{}` stands for a set."""
        return brackets(self.value)

    @property
    def body(self) -> str:
        width = {"": 0, "{}": 2}.get(self.bracket, 1)
        return self.value[width : len(self.value) - width].strip()

    def with_value(self, value: str) -> "Answer":
        """Return the answer with another value, its unit split off anew."""
        return make_answer(value) if value != self.value else self


def make_answer(expression: str) -> Answer:
    """Clean an extracted expression and split off its unit."""
    text = clean(expression)
    text = one_spelling(_NUMBER_WORDS.get(_UPRIGHT.sub(r"\1", text).lower(), text))
    text = _ONLY.sub("", _NEGATIVE.sub("-", text))
    value, unit = split_unit(text)
    if unit == "percent":
        value, unit = rf"{value.strip()}\%", ""
    return Answer(text=text, value=value.strip(), unit=unit)


def with_letter_unit(one: Answer, other: Answer) -> Answer:
    """Return the first answer with its last letter as its unit where the second has that unit in words."""
    value = split_letter(one.value, other.unit) if other.unit and not one.unit else None
    return one if value is None else Answer(text=one.text, value=value, unit=other.unit)


def clean(text: str) -> str:
    """Return an expression without delimiters, boxes, spacing commands and closing punctuation."""
    text = _QUOTED.sub(r"\1", collapse(text))
    for _ in range(_BOX_DEPTH):
        for start, end, content in reversed(boxes(text)):
            text = text[:start] + content + text[end:]
    text = _VECTOR.sub(r"(\1)", power_signs(text).replace("...", r"\ldots "))
    text = re.sub(r"\^\s*\{?\s*\\prime\s*\}?", "'", text)
    text = _COLOURED.sub(r"\1", text)
    text = _ABOUT.sub(r"\\approx ", _PAIR.sub(r"\1 ", text))
    text = _PER_CENT.sub(" percent", _ENVIRONMENT.sub(" ", text))
    text = _DELIMITERS.sub(" ", _THOUSANDS.sub(",", text))
    text = _SPACING.sub(" ", text.replace(r"\!", "").replace("{,}", ","))
    text = _BARE_FRACTION.sub(r"\\frac{\1}{\2}", _FRACTIONS.sub(r"\\frac", text))
    text = re.sub(r"\\\{\s*\\\}|\\varnothing", r"\\emptyset", re.sub(r"\s+", " ", text)).strip()
    text = r"(-\infty, \infty)" if _REALS.fullmatch(text) else _PLAIN_SET.sub(r"\\{\1\\}", text)
    while text and text[-1] in ".,;:。" and not text.endswith("\\,"):
        text = text[:-1].rstrip()
    return text


def split_approximation(text: str) -> str:
    """Return what stands before an approximation sign, as the exact value of which it gives decimals."""
    match = _APPROXIMATELY.match(text)
    return match.group(1) if match else text


def sides(text: str) -> list[str]:
    """Return the sides of an equation or chain of equations; one side where there is no top-level `=`."""
    found = list(_EQUALS.finditer(text))
    depths = _depths(text) if found else []
    cuts = [match.start() for match in found if depths[match.start()] == 0]
    return [text[start:end].strip() for start, end in zip([0, *(c + 1 for c in cuts)], [*cuts, None], strict=True)]


def without_membership(text: str) -> str:
    r"""Return `[0, 1]` for `x \in [0, 1]`."""
    return _MEMBERSHIP.sub("", text)


def is_name(text: str) -> bool:
    """Whether one side of an equation only names the value: `x`, `f(x)`, `AB`, `(x, y)`."""
    return bool(_NAME.fullmatch(text.strip()))


def split_members(text: str) -> tuple[tuple[str, ...], bool]:
    """Split at top-level commas, semicolons, `and` and `or`; also tell whether an `or` was among them."""
    members, start, has_or = [], 0, False
    if "," not in text and ";" not in text and not re.search("and|or|和|或", text):
        return (text.strip(),), False
    text = group_thousands(text)
    depths = _depths(text)
    for match in _SEPARATOR.finditer(text):
        if depths[match.start()] == 0:
            members.append(text[start : match.start()].strip())
            start = match.end()
            has_or = has_or or next(g for g in match.groups() if g) in {"or", "或"}
    members.append(text[start:].strip())
    return tuple(member for member in members if member), has_or


def group_thousands(text: str) -> str:
    """Return `text` with `1,000` as `1000`."""
    return re.sub(r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])", lambda m: m.group().replace(",", ""), text)


def _depths(text: str) -> list[int]:
    depths, depth = [], 0
    for sign in text:
        depth -= sign in ")]}"
        depths.append(depth)
        depth += sign in "([{"
    return depths


def brackets(text: str) -> str:
    """Return the pair of brackets around the whole text, empty where there is none; `{}` stands for a set."""
    for opening, closing, name in (
        ("\\{", "\\}", "{}"),
        ("(", ")", "()"),
        ("[", "]", "[]"),
        ("(", "]", "(]"),
        ("[", ")", "[)"),
    ):
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            inside = _depths(text)[len(opening) : -len(closing)]
            if not inside or min(inside) >= 1:
                return name
    return ""
