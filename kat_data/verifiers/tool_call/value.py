"""Values of arguments: one that a call gives, against those that the query accepts.

The Berkeley Function-Calling Leaderboard compares texts without case, spaces and `,./-_*^`, which makes different
values equal (`-x` and `x`, `a.b` and `ab`, `3.5` and `35`). Here only what cannot change the meaning is forgiven: case,
white space, and between plain words what joins them (`New_York`, `Paris,France`, `St Louis`). Digits, signs and
operators count, but for a few writings of one value: dates, thousands, `.5`.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

DEPTH = 20
"""How deep values may be nested; deeper ones equal nothing."""

_WORD = r"[^\W\d_]{2}"
_QUOTED = re.compile(r"(?<!\w)'([^']*)'(?!\w)")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
_DATE = re.compile(r"(?<![\d.,/-])(\d{4})([-./])(\d{1,2})\2(\d{1,2})(?![\d.,/-])")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.){2,}(?!\w)")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_OF_ONE_MEANING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"\b({_MONTH})\.?\s+(\d{{1,2}}),?\s+(\d{{4}})\b"), r"\1 \2 \3"),
    (re.compile(r"(?<![\w.])\.(?=\d)"), "0."),
    (re.compile(r"(?<=\d)\s+(?=[^\W\d_])"), ""),
    (re.compile(rf"(?<={_WORD})[.](?=\s|,|$)"), ""),
    (re.compile(rf"(?<={_WORD})(?:\s*,\s*|[_-])(?={_WORD})"), " "),
    (re.compile(rf"(?<={_WORD}),\s+(?=\d)|,\s+(?={_WORD})"), " "),
    (re.compile(r"\s*,\s*"), ","),
)
_THOUSANDS = re.compile(r"[-+]?[$€£¥]?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*(?:[^\W\d_]+|%)?")
_FORMULA = re.compile(
    r"(?=.*?[a-z0-9)]\s*(?:\*\*|[-+*/^])\s*[a-z0-9(.])"
    r"(?:lambda [a-z]\s*:|math\.|np\.|sin|cos|tan|exp|log|ln|sqrt|abs|pi|[a-z](?![a-z])|[\d.\s()+\-*/^=,])+"
)
_OPERATOR = re.compile(r"\s*(\*\*|[-+*/^=(),])\s*")
_NUMBER_SCHEMAS = frozenset({"number", "float", "double"})

Schema = Mapping[str, Any]
"""A JSON Schema, or an empty mapping where none is known."""


def is_allowed(value: Any, allowed: Sequence[Any], schema: Schema, depth: int = 0) -> bool:
    """Whether `value` is one of `allowed`; `""` there says "may be left out", and is no value for anything but text."""
    return depth < DEPTH and any(_same(value, wanted, schema, depth) for wanted in allowed)


def _same(value: Any, wanted: Any, schema: Schema, depth: int) -> bool:
    if isinstance(wanted, dict):
        return isinstance(value, dict) and _same_object(value, wanted, schema, depth)
    if isinstance(wanted, list):
        return isinstance(value, list) and _same_list(value, wanted, schema, depth)
    if isinstance(wanted, str):
        return isinstance(value, str) and same_text(value, wanted)
    if _is_number(wanted) and _is_number(value):
        return _same_number(value, wanted, schema)
    return type(value) is type(wanted) and bool(value == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_number(value: float, wanted: float, schema: Schema) -> bool:
    """An integer may stand for a float; a float for an integer only where the parameter is declared a float."""
    kinds = type(value) is type(wanted) or isinstance(value, int) or schema.get("type") in _NUMBER_SCHEMAS
    return kinds and value == wanted


def _same_list(value: list[Any], wanted: list[Any], schema: Schema, depth: int) -> bool:
    items = _part(schema.get("items"))
    pairs = zip(value, wanted, strict=False)
    return len(value) == len(wanted) and all(is_allowed(item, [other], items, depth + 1) for item, other in pairs)


def _same_object(value: dict[str, Any], wanted: dict[str, Any], schema: Schema, depth: int) -> bool:
    """Compare by key; what is no list of alternatives is the only one accepted."""
    alternatives = {key: values if isinstance(values, list) else [values] for key, values in wanted.items()}
    properties = _part(schema.get("properties"))
    present = all(key in value or "" in values for key, values in alternatives.items())
    return present and all(
        key in alternatives and is_allowed(item, alternatives[key], _part(properties.get(key)), depth + 1)
        for key, item in value.items()
    )


def _part(schema: Any) -> Schema:
    return schema if isinstance(schema, dict) else {}


def same_text(value: str, wanted: str) -> bool:
    """Whether two texts are the same argument: alike but for case, white space and what joins plain words."""
    return value == wanted or _fold(value) == _fold(wanted)


@lru_cache(4096)
def _fold(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    text = _APOSTROPHE.sub('"', _QUOTED.sub(r'"\1"', text))
    text = _DATE.sub(r"\1-\3-\4", text)
    if _FORMULA.fullmatch(text):
        return _OPERATOR.sub(r"\1", text)
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    text = _INITIALS.sub(lambda match: match.group().replace(".", ""), text)
    for pattern, one in _OF_ONE_MEANING:
        text = pattern.sub(one, text)
    return text
