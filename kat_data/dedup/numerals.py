"""The numbers in a text, whether they stand in digits or in words."""

import re
from fractions import Fraction

_NAMES = (
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    ("零", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十"),
)
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {
    **{name: Fraction(n) for names in _NAMES for n, name in enumerate(names)},
    **{name: Fraction(n) for n, name in enumerate(_TEENS, 13)},
    **{name: Fraction(10 * n) for n, name in enumerate(_TENS, 2)},
    **dict.fromkeys(("once",), Fraction(1)),
    **dict.fromkeys(("twice", "double", "couple", "两"), Fraction(2)),
    **dict.fromkeys(("third", "triple"), Fraction(3)),
    **dict.fromkeys(("half", "半"), Fraction(1, 2)),
    **dict.fromkeys(("quarter",), Fraction(1, 4)),
    **dict.fromkeys(("dozen",), Fraction(12)),
    **dict.fromkeys(("hundred", "百"), Fraction(100)),
    **dict.fromkeys(("thousand", "千"), Fraction(1000)),
    **dict.fromkeys(("万",), Fraction(10_000)),
    **dict.fromkeys(("million",), Fraction(1_000_000)),
}
_SIGNS = "".join(name for name in _VALUES if len(name) == 1)
_WORDS = "|".join(name for name in _VALUES if len(name) > 1)
_NUMBER = re.compile(rf"[0-9]+(?:,[0-9]{{3}})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|[{_SIGNS}]|\b(?:{_WORDS})s?\b")
_TEX_COMMA = re.compile(r"\{,\}|,\\!")  # 34{,}650 and 34,\!650


def numbers(text: str) -> tuple[Fraction, ...]:
    """Return the numbers of a text in NFKC and lower case, in order of size; "two hundred" counts as 2 and 100."""
    return tuple(sorted(_value(found) for found in _NUMBER.findall(_TEX_COMMA.sub(",", text))))


def _value(number: str) -> Fraction:
    if number[0].isdecimal():
        return Fraction(number.replace(",", ""))
    return _VALUES[number] if number in _VALUES else _VALUES[number.removesuffix("s")]
