"""Values of Python's own library on the wire: each is taken apart into plain values, and built anew from them.

What comes may be forged, so building costs no more than what came: numbers are bounded, and no text is evaluated.
"""

import datetime
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

_FRACTION_DIGITS = 1 << 14  # hexadecimal; building one takes quadratic time
_DECIMAL_DIGITS = 4000
_DECIMAL_EXPONENT = 10_000  # or a number of a few bytes becomes one of many megabytes

MUTABLE = (deque, Counter, OrderedDict, defaultdict)
KINDS = (Fraction, Decimal, deque, datetime.date, datetime.time, datetime.timedelta, datetime.timezone, *MUTABLE)


class Record(tuple[Any, ...]):
    """A named tuple of the program: a tuple whose members have names too."""

    _fields: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", ())
        if name in fields:
            return self[fields.index(name)]
        raise AttributeError(name)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))


def apart(value: Any) -> tuple[str, list[Any]] | None:
    """Return the tag of a value's kind and the plain values that it is made of; none where it is not of such a kind."""
    for kind, tag, parts in _APART:
        if isinstance(value, kind):
            made = parts(value)
            return None if made is None else (tag, made)
    return None


def together(tag: str, parts: list[Any]) -> Any:
    """Build what `apart` took apart; raises `ValueError` or `TypeError` where the parts are not those of that kind."""
    try:
        return _TOGETHER[tag](*parts)
    except ArithmeticError as error:
        raise ValueError(str(error)) from None


def _list(value: Any) -> list[Any]:
    """The value where it is a list: other sequences can be longer than what came."""
    if type(value) is not list:
        raise TypeError("no list")
    return value


def _mapping(value: Any) -> dict[Any, Any]:
    if type(value) is not dict:
        raise TypeError("no mapping")
    return value


def _of_fraction(value: Fraction) -> list[Any]:
    return [hex(value.numerator), hex(value.denominator)]


def _fraction(numerator: str, denominator: str) -> Fraction:
    if max(len(numerator), len(denominator)) > _FRACTION_DIGITS:
        raise ValueError("a fraction of too many digits")
    return Fraction(int(numerator, 16), int(denominator, 16))


def _decimal(text: str) -> Decimal:
    if type(text) is not str or len(text) > _DECIMAL_DIGITS:
        raise ValueError("no decimal, or one of too many digits")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("no decimal") from None
    if value.is_finite() and abs(value.adjusted()) > _DECIMAL_EXPONENT:
        raise ValueError("a decimal that large")
    return value


def _of_zone(value: datetime.tzinfo | None) -> list[Any] | None:
    """The offset of a zone that has one and no name; none for zones that have rules."""
    if value is None:
        return []
    return [_of_delta(value.utcoffset(None))] if type(value) is datetime.timezone else None


def _zone(parts: list[Any]) -> datetime.timezone | None:
    return datetime.timezone(datetime.timedelta(*parts[0])) if parts else None


def _of_datetime(value: datetime.datetime) -> list[Any] | None:
    zone = _of_zone(value.tzinfo)
    return None if zone is None else [*_of_date(value), *_of_clock(value), zone]


def _of_date(value: datetime.date) -> list[Any]:
    return [value.year, value.month, value.day]


def _of_time(value: datetime.time) -> list[Any] | None:
    zone = _of_zone(value.tzinfo)
    return None if zone is None else [*_of_clock(value), zone]


def _of_clock(value: datetime.datetime | datetime.time) -> list[Any]:
    return [value.hour, value.minute, value.second, value.microsecond, value.fold]


def _datetime(*parts: Any) -> datetime.datetime:
    year, month, day, hour, minute, second, micro, fold, zone = parts
    return datetime.datetime(year, month, day, hour, minute, second, micro, _zone(zone), fold=fold)


def _time(*parts: Any) -> datetime.time:
    hour, minute, second, micro, fold, zone = parts
    return datetime.time(hour, minute, second, micro, _zone(zone), fold=fold)


def _of_delta(value: Any) -> list[Any]:
    return [value.days, value.seconds, value.microseconds]


def _deque(items: list[Any], longest: int | None) -> deque[Any]:
    return deque(_list(items), longest)


def _defaultdict(factory: Any, items: dict[Any, Any]) -> defaultdict[Any, Any]:
    return defaultdict(factory if callable(factory) else None, _mapping(items))


def _counter(items: dict[Any, Any]) -> Counter[Any]:
    made: Counter[Any] = Counter()
    dict.update(made, _mapping(items))
    return made


def _record(names: list[str], items: list[Any]) -> Record:
    if len(_list(names)) != len(_list(items)) or not all(type(name) is str for name in names):
        raise ValueError("no named tuple")
    made = Record(items)
    made._fields = tuple(names)
    return made


def _of_record(value: Any) -> list[Any] | None:
    fields = getattr(value, "_fields", None)
    if type(fields) is not tuple or len(fields) != tuple.__len__(value):
        return None
    return [list(fields), list(tuple.__iter__(value))]


# The first that fits counts. Mappings go as mappings, so that their keys are looked at when they are built.
_APART: tuple[tuple[type, str, Callable[[Any], list[Any] | None]], ...] = (
    (Fraction, "q", _of_fraction),
    (Decimal, "m", lambda value: [str(value)]),
    (datetime.datetime, "dt", _of_datetime),
    (datetime.date, "da", _of_date),
    (datetime.time, "ti", _of_time),
    (datetime.timedelta, "td", _of_delta),
    (datetime.timezone, "tz", lambda value: [_of_zone(value)]),
    (deque, "dq", lambda value: [list(deque.__iter__(value)), value.maxlen]),
    (Counter, "co", lambda value: [dict(dict.items(value))]),
    (OrderedDict, "od", lambda value: [dict(OrderedDict.items(value))]),
    (defaultdict, "dd", lambda value: [value.default_factory, dict(dict.items(value))]),
    (tuple, "n", _of_record),
    (type({}.keys()), "dk", lambda value: [dict.fromkeys(value)]),
    (type({}.values()), "dv", lambda value: [list(value)]),
    (type({}.items()), "di", lambda value: [dict(value)]),
)
_TOGETHER: dict[str, Callable[..., Any]] = {
    "q": _fraction,
    "m": _decimal,
    "dt": _datetime,
    "da": datetime.date,
    "ti": _time,
    "td": datetime.timedelta,
    "tz": _zone,
    "dq": _deque,
    "co": _counter,
    "od": lambda items: OrderedDict(_mapping(items)),
    "dd": _defaultdict,
    "n": _record,
    "dk": lambda items: _mapping(items).keys(),
    "dv": lambda items: dict(enumerate(_list(items))).values(),
    "di": lambda items: _mapping(items).items(),
}
TAGS = frozenset(_TOGETHER)
