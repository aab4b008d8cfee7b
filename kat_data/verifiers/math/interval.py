r"""Sets of real numbers as intervals: `x < 1 \text{ or } x \ge 4` is `(-\infty, 1) \cup [4, \infty)`."""

import re
from dataclasses import dataclass
from itertools import pairwise

from kat_data.verifiers.math.answer import brackets, split_members
from kat_data.verifiers.math.notation import excluded_points
from kat_data.verifiers.math.value import exact

_SPLIT = re.compile(r"\\cup(?![A-Za-z])|\\text\s*\{\s*or\s*\}|(?<![A-Za-z\\])or(?![A-Za-z])")
_RELATION = re.compile(r"(<=|>=|<|>|\\(?:leqslant|geqslant|leq|geq|le|ge|lt|gt)(?![A-Za-z]))")
_ABSOLUTE = re.compile(r"\|\s*(?P<name>[a-z])\s*\|\s*(?P<sign><=?|\\(?:leqslant|leq?|lt)(?![A-Za-z]))(?P<bound>.+)")
_NAME = re.compile(r"[A-Za-z]|\\theta")
_LESS, _GREATER = {"<": False, "\\lt": False}, {">": False, "\\gt": False}
_CLOSED_LESS = {"<=", "\\le", "\\leq", "\\leqslant"}
_CLOSED_GREATER = {">=", "\\ge", "\\geq", "\\geqslant"}
_ENDLESS = re.compile(r"(?P<sign>[-+]?)\s*\\infty")


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval: its ends as text (`-oo` and `oo` for none), which of them belong to it, and whose values it has."""

    low: str
    high: str
    low_in: bool
    high_in: bool
    name: str = ""


def intervals(text: str) -> tuple[Interval, ...] | None:
    """Return the intervals whose union `text` is, or none where it is anything else."""
    if (points := excluded_points(text)) is not None:
        return _reals_but(split_members(points)[0])
    pieces = [_piece(part.strip()) for part in _SPLIT.split(text)]
    found = tuple(piece for piece in pieces if piece is not None)
    return found if len(found) == len(pieces) else None


def _reals_but(points: tuple[str, ...]) -> tuple[Interval, ...] | None:
    """The real line without some numbers, as the open intervals between them."""
    values = {point: exact(point) for point in points}
    if not points or None in values.values():
        return None
    ends = ["-oo", *sorted(points, key=lambda point: values[point] or 0), "oo"]
    return tuple(Interval(low, high, False, False) for low, high in pairwise(ends))


def _piece(text: str) -> Interval | None:
    if (kind := brackets(text)) in {"()", "[]", "(]", "[)"} and not _RELATION.search(text):
        ends = split_members(text[1:-1])[0]
        if len(ends) != 2:
            return None
        low, high = (_end(end) for end in ends)
        return Interval(low, high, kind[0] == "[", kind[1] == "]")
    if match := _ABSOLUTE.fullmatch(text):
        bound, closed = match["bound"].strip(), match["sign"] != "<" and match["sign"] != "\\lt"
        return Interval(f"-{bound}", bound, closed, closed, match["name"]) if (exact(bound) or 0) > 0 else None
    return _chain([part.strip() for part in _RELATION.split(text)])


def _chain(parts: list[str]) -> Interval | None:
    if any(not part or "," in part or "=" in part for part in parts[::2]):
        return None
    if len(parts) == 3 and _NAME.fullmatch(parts[0]):
        parts = [parts[2], _flipped(parts[1]), parts[0]]
    if len(parts) == 3 and _NAME.fullmatch(parts[2]):
        return _ray(*parts)
    if len(parts) == 5 and _NAME.fullmatch(parts[2]):
        first, second = _ray(*parts[:3]), _ray(parts[4], _flipped(parts[3]), parts[2])
        if first is None or second is None or (first.low == "-oo") == (second.low == "-oo"):
            return None
        low, high = (first, second) if second.low == "-oo" else (second, first)
        return Interval(low.low, high.high, low.low_in, high.high_in, low.name)
    return None


def _ray(end: str, sign: str, name: str) -> Interval | None:
    """The values of `name` in `end < name` and its like."""
    if _NAME.fullmatch(end):
        return None
    if sign in _LESS or sign in _CLOSED_LESS:
        return Interval(_end(end), "oo", sign in _CLOSED_LESS, False, name)
    return Interval("-oo", _end(end), False, sign in _CLOSED_GREATER, name)


def _flipped(sign: str) -> str:
    if sign in _LESS or sign in _GREATER:
        return ">" if sign in _LESS else "<"
    return ">=" if sign in _CLOSED_LESS else "<="


def _end(text: str) -> str:
    match = _ENDLESS.fullmatch(text)
    return text if match is None else "-oo" if match["sign"] == "-" else "oo"
