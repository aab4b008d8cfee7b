"""What a test may do with a program's values on this side: native operations, each with a bound on its work.

The values come from a program that may be hostile. They are of exact built-in types, so that no code of the program
runs here, but they may be long, deep or chosen to make an operation slow.
"""

import math
import operator
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from kat_data.sandbox.inside import library
from kat_data.sandbox.inside.values import Iterated

_BITS = 1 << 16
_LENGTH = 1_000_000
_DIGITS = 4000
_CROWD = 64
_REPEATED = (str, bytes, bytearray, list, tuple, deque)

TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range)
}
CONSTANTS = {"math.pi": math.pi, "math.e": math.e, "math.inf": math.inf, "math.nan": math.nan, "math.tau": math.tau}


class Unfit(Exception):
    """A value is too large for an operation, or of a kind that the operation is not done on."""


def _bounded(*values: Any) -> None:
    for value in values:
        if type(value) is int and value.bit_length() > _BITS:
            raise Unfit(f"a number of {value.bit_length()} bits")
        if type(value) is Fraction:
            _bounded(value.numerator, value.denominator)


def _items(value: Any) -> Any:
    """A value to iterate over, where that is done in bounded time."""
    if isinstance(value, Iterated):
        return value.items
    if type(value) is range and len(value) > _LENGTH:
        return _too_long()
    return value


def _too_long() -> Any:
    raise Unfit(f"more than {_LENGTH} items")


def _distinct(items: Iterable[Any]) -> list[Any]:
    """The items, where no more than a few different ones share a hash; a table of others takes quadratic time."""
    found = list(items)
    ranked = sorted(range(len(found)), key=lambda i: hash(found[i]))
    crowd: list[Any] = []
    for i in ranked:
        if not crowd or hash(found[i]) != hash(crowd[0]):
            crowd = [found[i]]
        elif found[i] not in crowd:
            crowd.append(found[i])
            if len(crowd) > _CROWD:
                raise Unfit("too many items share one hash")
    return found


def _set(value: Any = ()) -> set[Any]:
    return set(_distinct(_items(value)))


def _dict(value: Any = (), **named: Any) -> dict[Any, Any]:
    if isinstance(value, dict):
        return dict(value) | named
    pairs = list(_items(value))
    if any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
        raise Unfit("no mapping and no pairs")
    _distinct(pair[0] for pair in pairs)
    return dict(pairs) | named


def _sum(value: Any, start: Any = 0) -> Any:
    if type(start) not in (int, float, complex):
        raise Unfit("a sum that is no number")
    items = list(_items(value))
    _bounded(start, *items)
    if sum(item.denominator.bit_length() for item in items if type(item) is Fraction) > _BITS:
        raise Unfit("a sum of fractions that long")
    return sum(items, start)


def _len(value: Any) -> int:
    if isinstance(value, Iterated):
        raise TypeError("an iterator has no length")
    return len(value)


def _int(value: Any = 0) -> int:
    if type(value) in (str, bytes, bytearray) and len(value) > _DIGITS:
        raise Unfit("a number of too many digits")
    return int(value)


def _float(value: Any = 0) -> float:
    if type(value) in (str, bytes, bytearray) and len(value) > _DIGITS:
        raise Unfit("a number of too many digits")
    return float(value)


def _round(value: Any, digits: Any = None) -> Any:
    _bounded(value)
    if digits is None:
        return round(value)
    if type(digits) is not int or abs(digits) > _DIGITS:
        raise Unfit("rounding to that place")
    return round(value, digits)


def _str(value: Any = "") -> str:
    for part in parts(value):
        _bounded(part)
        if type(part).__name__ not in TYPES and part is not None and not isinstance(part, library.KINDS):
            raise Unfit("the text of an object of the program")
    return str(value)


def parts(value: Any) -> Iterator[Any]:
    """A value and all that it holds, at any depth."""
    rest = [value]
    while rest:
        part = rest.pop()
        yield part
        if isinstance(part, dict):
            rest.extend(part.values())
            rest.extend(part)
        elif isinstance(part, list | tuple | set | frozenset | deque):
            rest.extend(part)


def _type(value: Any) -> type:
    if type(value).__name__ not in TYPES and value is not None:
        raise Unfit("the type of an object of the program")
    return type(value)


def _isinstance(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds)


def _best(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: choose(_items(values[0])) if len(values) == 1 else choose(*values)


def _mul(one: Any, other: Any) -> Any:
    if isinstance(one, int) and isinstance(other, _REPEATED):
        one, other = other, one
    if isinstance(one, _REPEATED) and isinstance(other, int):
        return one * other if len(one) * max(other, 0) <= _LENGTH else _too_long()
    _bounded(one, other)
    return one * other


def _pow(one: Any, other: Any) -> Any:
    if type(one) is Decimal or type(other) in (Decimal, Fraction):
        raise Unfit("a power of that kind")
    parts = (one.numerator, one.denominator) if type(one) is Fraction else (one,)
    if type(other) is int and any(type(p) is int and p.bit_length() * abs(other) > _BITS for p in parts):
        raise Unfit("a power that large")
    return one**other


def _mod(one: Any, other: Any) -> Any:
    if type(one) not in (bool, int, float, Fraction, Decimal, timedelta):
        raise Unfit("formatting")
    _bounded(one, other)
    return one % other


def _shift(one: Any, other: Any) -> Any:
    if type(other) is not int or other > _BITS:
        raise Unfit("a shift that far")
    return one << other


def _numbers(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def bounded(one: Any, other: Any) -> Any:
        _bounded(one, other)
        return operation(one, other)

    return bounded


def _in(item: Any, container: Any) -> bool:
    return item in _items(container)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": _mul,
    "Div": _numbers(operator.truediv),
    "FloorDiv": _numbers(operator.floordiv),
    "Mod": _mod,
    "Pow": _pow,
    "LShift": _shift,
    "RShift": operator.rshift,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
}
UNARY: dict[str, Callable[[Any], Any]] = {
    "Not": operator.not_,
    "USub": operator.neg,
    "UAdd": operator.pos,
    "Invert": operator.invert,
}
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": _in,
    "NotIn": lambda item, container: not _in(item, container),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "all": lambda value: all(_items(value)),
    "any": lambda value: any(_items(value)),
    "bool": bool,
    "dict": _dict,
    "float": _float,
    "frozenset": lambda value=(): frozenset(_set(value)),
    "int": _int,
    "isinstance": _isinstance,
    "len": _len,
    "list": lambda value=(): list(_items(value)),
    "max": _best(max),
    "min": _best(min),
    "range": range,
    "round": _round,
    "set": _set,
    "sorted": lambda value, reverse=False: sorted(_items(value), reverse=reverse),
    "str": _str,
    "sum": _sum,
    "tuple": lambda value=(): tuple(_items(value)),
    "type": _type,
    "math.ceil": math.ceil,
    "math.fabs": math.fabs,
    "math.floor": math.floor,
    "math.isclose": math.isclose,
    "math.isinf": math.isinf,
    "math.isnan": math.isnan,
    "math.sqrt": math.sqrt,
}


class _Short(reprlib.Repr):
    """`repr` that is cut before it is made, for values that are too long to be shown or even written."""

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 1024 else f"<a number of {x.bit_length()} bits>"

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x[: self.maxother]) + ("…" if len(x) > self.maxother else "")


def _short() -> _Short:
    short = _Short()
    short.maxlevel, short.maxstring, short.maxother = 4, 100, 100
    short.maxlist = short.maxtuple = short.maxset = short.maxfrozenset = short.maxdict = 8
    return short


def show(value: Any) -> str:
    """Return a value in at most a few hundred characters, for a curator to read."""
    try:
        return _short().repr(value)[:300]
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"
