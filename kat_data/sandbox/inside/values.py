"""Plain values on the wire: exact types of Python's in, exact types of Python's out, and no code of a program between.

A program's own process encodes, so whatever it sends may be forged; `decode` therefore takes nothing but JSON and
builds nothing but values of Python's own types. Both sides bound what they do.
"""

from collections.abc import Callable, Iterator
from typing import Any

from kat_data.sandbox.inside import library

_EXACT_INT = 2**53
ITEMS_LIMIT = 1_000_000
_CROWD = 64  # keys of one hash
_RANGE_DIGITS = 32


TOO_LONG = "OutputLimit"  # stands for an exception where a value is longer than a program may send


class NotPlain(Exception):
    """A value is too long or nested too deep to be sent, or what came is none."""


class Iterated:
    """An iterator over what an iterator of the other side gave, in order; equal to nothing until it is made a list."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items
        self._rest = iter(items)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._rest)

    __hash__ = object.__hash__


class Opaque:
    """An object of a program that is no plain value: known by class name and number, compared with nothing."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.number = number

    def __bool__(self) -> bool:
        raise TypeError(f"{self.kind} is an object of the program: it has no truth value here")

    def __eq__(self, other: object) -> bool:
        raise TypeError(f"{self.kind} is an object of the program: it is compared with nothing here")

    def __hash__(self) -> int:
        raise TypeError(f"{self.kind} is an object of the program: it has no hash here")

    def __repr__(self) -> str:
        return f"<{self.kind} of the program>"


Keep = Callable[[Any], dict[str, Any] | None] | None
Find = Callable[[dict[str, Any]], Any]


def encode(value: Any, keep: Keep = None) -> Any:
    """Return `value` as JSON values; `keep` gives `{"o": number, "k": class name}` for an object that is none.

    An iterator that `keep` gives nothing for is used up, and sent as what it gave.

    Raises `NotPlain` where the value is too large, or where it holds such an object and there is no `keep`.
    """
    try:
        return _encode(value, keep, [ITEMS_LIMIT])
    except RecursionError:
        raise NotPlain("a value is nested too deep") from None


def _encode(value: Any, keep: Keep, room: list[int]) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int and -_EXACT_INT < value < _EXACT_INT:
        return value
    if kind is list:
        return _items(value, keep, room)
    return _tagged(value, keep, room)


def _items(values: Any, keep: Keep, room: list[int]) -> list[Any]:
    found = []
    for value in values:
        room[0] -= 1
        if room[0] < 0:
            raise NotPlain(f"a value holds more than {ITEMS_LIMIT} items")
        found.append(_encode(value, keep, room))
    return found


def _tagged(value: Any, keep: Keep, room: list[int]) -> Any:  # one line a type
    if isinstance(value, int):
        number = int.__index__(value)
        return number if -_EXACT_INT < number < _EXACT_INT else {"i": hex(number)}
    if isinstance(value, float):
        return {"f": float.__repr__(value)}
    if isinstance(value, str):
        return str.__str__(value)
    if type(value) not in _CONTAINERS and (parted := library.apart(value)) is not None:
        return {parted[0]: _items(parted[1], keep, room)}
    if isinstance(value, tuple):
        return {"t": _items(tuple.__iter__(value), keep, room)}
    if isinstance(value, list):
        return _items(list.__iter__(value), keep, room)
    if isinstance(value, dict):
        return {"d": _items((part for pair in dict.items(value) for part in pair), keep, room)}
    if isinstance(value, set):
        return {"s": _items(set.__iter__(value), keep, room)}
    if isinstance(value, frozenset):
        return {"z": _items(frozenset.__iter__(value), keep, room)}
    if isinstance(value, (bytes, bytearray)):
        return {"b" if isinstance(value, bytes) else "a": bytes(value).hex()}
    if isinstance(value, complex):
        return {"c": [float.__repr__(value.real), float.__repr__(value.imag)]}
    if isinstance(value, range):
        return {"r": [hex(value.start), hex(value.stop), hex(value.step)]}
    if isinstance(value, type) and _TYPES.get(value.__name__) is value:
        return {"y": value.__name__}
    if keep is not None and (kept := keep(value)) is not None:
        return kept
    if is_iterator(value):
        return {"g": _items(value, keep, room)}
    raise NotPlain(f"{type(value).__name__} is no plain value")


def is_iterator(value: Any) -> bool:
    """Whether a value is used up by looking through it."""
    kind = type(value)
    return hasattr(kind, "__next__") and hasattr(kind, "__iter__")


_CONTAINERS = frozenset((tuple, dict, set, frozenset, bytes))
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range, object)
}


def _opaque(data: dict[str, Any]) -> Opaque:
    return Opaque(str(data["k"])[:80], int(data["o"]))


def decode(data: Any, find: Find = _opaque) -> Any:
    """Return the plain value that JSON values stand for; `find` makes something of what `keep` gave.

    Raises `NotPlain` where they stand for nothing, or would take longer to build than their size warrants.
    """
    try:
        return _decode(data, find)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise NotPlain(f"no plain value: {error}"[:200]) from None
    except RecursionError:
        raise NotPlain("a value is nested too deep") from None


def _decode(data: Any, find: Find) -> Any:
    if type(data) is list:
        return [_decode(item, find) for item in data]
    if type(data) is not dict:
        return data
    if "o" in data:
        return find(data)
    ((tag, body),) = data.items()
    if tag in library.TAGS:
        return library.together(tag, [_decode(item, find) for item in body])
    return _DECODERS[tag](body, find)


def _mapping(body: Any, find: Find) -> dict[Any, Any]:
    items = [_decode(item, find) for item in body]
    keys = items[::2]
    _refuse_crowd(keys)
    return dict(zip(keys, items[1::2], strict=True))


def _set(body: Any, find: Find) -> set[Any]:
    items = [_decode(item, find) for item in body]
    _refuse_crowd(items)
    return set(items)


def _refuse_crowd(keys: list[Any]) -> None:
    """Refuse keys chosen to share their hashes: a table of them takes quadratic time to build."""
    if len(keys) > _CROWD:
        crowds: dict[int, int] = {}
        for key in keys:
            number = hash(key)
            crowds[number] = crowds.get(number, 0) + 1
            if crowds[number] > _CROWD:
                raise NotPlain("too many keys share their hashes")


def _range(body: Any, _: Find) -> range:
    if any(len(part) > _RANGE_DIGITS for part in body):
        raise NotPlain("a range reaches too far")
    return range(*(int(part, 16) for part in body))


_DECODERS: dict[str, Callable[[Any, Find], Any]] = {
    "i": lambda body, _: int(body, 16),
    "f": lambda body, _: float(body),
    "t": lambda body, find: tuple([_decode(item, find) for item in body]),
    "d": _mapping,
    "s": _set,
    "z": lambda body, find: frozenset(_set(body, find)),
    "b": lambda body, _: bytes.fromhex(body),
    "a": lambda body, _: bytearray.fromhex(body),
    "c": lambda body, _: complex(float(body[0]), float(body[1])),
    "r": _range,
    "y": lambda body, _: _TYPES[body],
    "g": lambda body, find: Iterated([_decode(item, find) for item in body]),
}
