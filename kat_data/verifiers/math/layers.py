"""The layers that decide on two values without computer algebra, each where it can, in order.

A layer returns its decision, or none where the next one has to look.
"""

import re
from collections.abc import Callable

from kat_data.verifiers.math.answer import Answer, is_name, sides
from kat_data.verifiers.math.decision import Decision, decided
from kat_data.verifiers.math.interval import Interval, intervals
from kat_data.verifiers.math.notation import coordinates
from kat_data.verifiers.math.same import (
    is_readable,
    match_up,
    names_in,
    same,
    same_equation,
    same_ordered,
    same_unordered,
    without_repetitions,
)
from kat_data.verifiers.math.value import exact, split_percent
from kat_data.verifiers.math.vetoes import same_text

_UNORDERED = frozenset({"", "{}"})
_SPREAD = re.compile(r"\\(?:pm|mp|ldots|dots|cdots|cup|cap|begin|setminus|mid)(?![A-Za-z])")
_NAMED = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])|\\(?:theta|alpha|beta|lambda)\b")
_BASE = re.compile(r"(?:^|(?<=[-+*/=(, ]))\d+\s*_\s*\{?\w+\}?")
_DOTS = "\\ldots"
_ROOT_FORM = re.compile(r"[A-Za-z]\s*[-+]\s*[^=A-Za-z]+=\s*0")
_LIMIT = re.compile(r"\\(?:lim|sum|prod|int|bigcup|bigcap)(?![a-z])")
_ENDLESS = re.compile(r"[-+]?\s*\\infty\s*")
_INFINITE = re.compile(r"\\infty|(?<![A-Za-z\\])inf")
_INEQUALITY = re.compile(r"[<>]|\\(?:l|g)(?:e|t|eq|eqslant)?(?![A-Za-z])")


def _numbers(gold: Answer, answer: Answer) -> Decision | None:
    (one, percent), (other, percents) = split_percent(gold.value), split_percent(answer.value)
    left, right = exact(one), exact(other)
    if left is None or right is None:
        return None
    if percent != percents and (gold.unit or answer.unit):
        return decided(False, "unit", "a percentage has no unit")
    if percent and not percents and left == right and abs(left) > 1:
        return decided(True, "exact", "the percent sign is taken for an absent unit")
    return decided(left / (100 if percent else 1) == right / (100 if percents else 1), "exact")


def _unfinished(gold: Answer, answer: Answer) -> Decision | None:
    if (_DOTS in gold.value) != (_DOTS in answer.value):
        return decided(False, "members", "one of the two breaks off in dots")
    return None


def _endless(gold: Answer, answer: Answer) -> Decision | None:
    if _ENDLESS.fullmatch(gold.value) and _INFINITE.search(answer.value) and not _LIMIT.search(answer.value):
        return None if _ENDLESS.fullmatch(answer.value) else decided(False, "infinite", "infinity is no number")
    if _INFINITE.search(answer.value) and not _INFINITE.search(gold.value) and not _LIMIT.search(answer.value):
        return None if _has_relation(gold) or intervals(answer.value) else decided(False, "infinite")
    return None


def _equations(gold: Answer, answer: Answer) -> Decision | None:
    one, other = len(sides(gold.value)), len(sides(answer.value))
    if (one > 1) != (other > 1):
        return decided(False, "equation", "only one of the two is an equation")
    if one != other and len(gold.members) == len(answer.members) == 1:
        return decided(False, "equation", "one of the two is a chain of equations")
    if _has_relation(answer) and not _NAMED.search(answer.value):
        return decided(False, "equation", "the inequality is about nothing")
    return None


def _unsolved(gold: Answer, answer: Answer) -> Decision | None:
    """Refuse `2x = 8` beside `x = 4`: an equation that still has to be solved, if only in one step."""
    one, other = sides(gold.value), sides(answer.value)
    if len(one) != 2 or len(other) != 2 or not is_name(one[0]) or not _is_closed(one[1]):
        return None
    if any(map(is_name, other)) or _ROOT_FORM.fullmatch(answer.value):
        return None
    return decided(False, "equation", "the equation is not solved") if names_in(other[0] + "+" + other[1]) else None


def _is_closed(text: str) -> bool:
    return is_readable(text) and not names_in(text)


def _vectors(gold: Answer, answer: Answer) -> Decision | None:
    """Take a matrix of one row or column for the tuple of its entries."""
    one, other = coordinates(gold.value), coordinates(answer.value)
    vector, rest = (one, answer) if other is None else (other, gold)
    if (one is None) == (other is None) or vector is None or len(vector) < 2 or rest.bracket != "()":
        return None
    equal = same_ordered(vector, rest.members)
    return None if equal is None else decided(equal, "exact")


def _bases(gold: Answer, answer: Answer) -> Decision | None:
    """Tell numerals with different bases apart, which computer algebra would read without them."""
    if [re.sub(r"[{}\s]", "", each) for each in _BASE.findall(gold.value)] != [
        re.sub(r"[{}\s]", "", each) for each in _BASE.findall(answer.value)
    ]:
        return decided(False, "base", "the numerals or their bases differ")
    return None


def _members(gold: Answer, answer: Answer) -> Decision | None:
    """Decide on lists, sets and tuples: by brackets, by the number of members, then member by member."""
    if _has_relation(gold) != _has_relation(answer) or _SPREAD.search(gold.value) or _SPREAD.search(answer.value):
        return None
    one, other = _distinct(gold), _distinct(answer)
    if len(one) == 1 and len(other) == 1:
        return None
    if len(one) == 1 and other and answer.has_or and all(same(one[0], member) for member in other):
        return decided(True, "exact", "the same value twice")
    if len(one) != len(other):
        return decided(False, "hedge" if answer.has_or and len(one) == 1 else "members")
    if _clash(gold.bracket, answer.bracket):
        return decided(False, "members", "a set is no tuple and no interval")
    ordered = gold.bracket not in _UNORDERED or answer.bracket not in _UNORDERED
    if ordered and _INFINITE.search(gold.value + answer.value):
        return None
    equal = same_ordered(one, other) if ordered else same_unordered(one, other)
    return None if equal is None else decided(equal, "exact")


def _has_relation(answer: Answer) -> bool:
    return bool(_INEQUALITY.search(answer.value))


def _distinct(answer: Answer) -> tuple[str, ...]:
    """The members, without the repeated ones where the answer is a set or a list of points."""
    if answer.bracket != "{}" and not all(member.startswith("(") for member in answer.members):
        return answer.members
    return without_repetitions(answer.members)


def _clash(one: str, other: str) -> bool:
    """Whether two pairs of brackets never mean the same thing; a bare list may be a tuple without its brackets."""
    if one == other:
        return False
    return "" not in {one, other} or ({one, other} != {"", "()"} and bool({one, other} - _UNORDERED))


def _values(gold: Answer, answer: Answer) -> Decision | None:
    equal = same(gold.value, answer.value)
    return None if equal is None else decided(equal, "numeric")


def _intervals(gold: Answer, answer: Answer) -> Decision | None:
    """Decide on unions of intervals, written with brackets or with inequalities."""
    one, other = intervals(gold.value), intervals(answer.value)
    if one is None or other is None:
        return _beside_finite(one or other, answer if other is None else gold)
    if {piece.name for piece in one} != {piece.name for piece in other} and all(piece.name for piece in one + other):
        return decided(False, "interval", "the inequalities are about different names")
    if len(one) != len(other):
        return None
    left, right = [_ends(piece) for piece in one], [_ends(piece) for piece in other]
    equal = match_up(left, right, _same_interval)
    return None if equal is None or (not equal and len(one) > 1) else decided(equal, "interval")


def _beside_finite(pieces: tuple[Interval, ...] | None, rest: Answer) -> Decision | None:
    """Tell an inequality from a set or list of values, which computer algebra takes for its ends."""
    if not pieces or not any(piece.name for piece in pieces) or _has_relation(rest) or "\\cup" in rest.value:
        return None
    several = rest.bracket == "{}" or len(rest.members) > 1
    return decided(False, "interval", "values are no interval") if several else None


def _ends(piece: Interval) -> tuple[str, ...]:
    return piece.low, piece.high, str(piece.low_in), str(piece.high_in)


def _same_interval(one: tuple[str, ...], other: tuple[str, ...]) -> bool | None:
    if one[2:] != other[2:]:
        return False
    return same_ordered(one[:2], other[:2])


def _relations(gold: Answer, answer: Answer) -> Decision | None:
    """Decide on two equations by points where that shows it; the rest is for computer algebra."""
    one, other = sides(gold.value), sides(answer.value)
    if len(one) != 2 or len(other) != 2:
        return None
    equal = same_equation((one[0], one[1]), (other[0], other[1]))
    return None if equal is None else decided(equal, "numeric")


LAYERS: tuple[Callable[[Answer, Answer], Decision | None], ...] = (
    same_text, _numbers, _unfinished, _endless, _bases, _equations, _unsolved, _vectors, _intervals, _members, _values,
    _relations,
)  # fmt: skip
