r"""Values without the names that they are given: `x = 5` is `5`, and `x \in [0, 1]` is `[0, 1]`."""

import re

from kat_data.verifiers.math.answer import (
    Answer,
    brackets,
    is_name,
    sides,
    split_approximation,
    split_members,
    without_membership,
)
from kat_data.verifiers.math.same import names_in, same
from kat_data.verifiers.math.value import exact

_FUNCTION = re.compile(r"\\(?:log|ln|exp|sin|cos|tan)\b.*[A-Za-z]|'|\\frac\s*\{\s*d")

_VALUE_OF_FUNCTION = re.compile(r"^[fy]\(x\)$")
_POINT = re.compile(r"[A-MO-TV-Z]\s*(\(.*\))")
_CONSTANT = re.compile(r"(?P<rest>[^A-Z]*[a-z][^A-Z]*)\+\s*(?P<name>[CcKk])")
_DERIVATIVE = re.compile(r"[A-Za-z]'+\s*(?:\([A-Za-z]\))?|\\frac.*")
_SUM = re.compile(r"\d*\s*[a-hj-su-w](?:\s*[-+]\s*\d*\s*[a-hj-su-w])+")


def bare(gold: Answer, answer: Answer) -> tuple[Answer, Answer]:
    """Both answers without approximations, `x ∈`, and the names that one of them, or both alike, give the value."""
    gold, answer = _unlabelled(gold, answer)
    gold = gold.with_value(without_membership(split_approximation(gold.value)))
    answer = answer.with_value(without_membership(split_approximation(answer.value)))
    named, names = _unnamed(gold), _unnamed(answer)
    if named is not None and names is not None:
        alike = _VALUE_OF_FUNCTION.sub("y", named[0]) == _VALUE_OF_FUNCTION.sub("y", names[0])
        return (gold.with_value(named[1]), answer.with_value(names[1])) if alike else (gold, answer)
    if named is not None and "=" not in answer.value:
        return gold.with_value(named[1]), answer
    if "=" not in gold.value and names is not None:
        return gold, answer.with_value(names[1])
    parts = sides(answer.value)
    if (
        "=" not in gold.value
        and len(parts) > 1
        and len(answer.members) == 1
        and (_is_sum(parts) or not _is_to_be_solved(parts))
    ):
        return gold, answer.with_value(parts[-1])
    return gold, answer


def _unlabelled(gold: Answer, answer: Answer) -> tuple[Answer, Answer]:
    """Take the point's name off `P(3, -1)` beside `(3, -1)`, and call the constant of integration alike."""
    point, constant = _POINT.fullmatch(answer.value), _CONSTANT.fullmatch(gold.value)
    if point and gold.bracket == brackets(point[1]) == "()" and len(gold.members) > 1:
        return gold, answer.with_value(point[1])
    other = _CONSTANT.fullmatch(answer.value)
    if constant and constant["name"] == "C" and other and other["name"] not in constant["rest"] + other["rest"]:
        return gold, answer.with_value(f"{other['rest']}+C")
    return gold, answer


def _is_sum(parts: list[str]) -> bool:
    """Whether an equation gives a sum of names that no problem solves for its names (`m + n = 4`), and not as zero."""
    names = names_in(parts[0])
    return bool(_SUM.fullmatch(parts[0])) and len(names) > 1 and same(parts[-1], "0") is False


def _is_to_be_solved(parts: list[str]) -> bool:
    """Whether an equation states a problem (`2x = 4`, `a + b = 0`) rather than the value of its left side."""
    return same(parts[-1], "0") is True or bool(_FUNCTION.search(parts[0])) or bool(names_in(parts[0]))


def _unnamed(answer: Answer) -> tuple[str, str] | None:
    """Split what names its value into the name and the value; none where it is a real equation.

    `x = 5` and `5 = x` name a value, `x = 1, x = 2` a set, and `x = 1, y = 2` a tuple in the order of the names.
    """
    members = [sides(member) for member in split_members(answer.value)[0]]
    if len(members) > 1 and all(len(member) == 2 and is_name(member[0]) for member in members):
        named = sorted(members, key=lambda member: member[0])
        names = [member[0] for member in named]
        if len(set(names)) == 1:
            return names[0], rf"\{{{', '.join(member[1] for member in members)}\}}"
        if len(set(names)) == len(names):
            return f"({','.join(names)})", f"({', '.join(member[1] for member in named)})"
    parts = sides(answer.value)
    if _DERIVATIVE.fullmatch(parts[0]) and not names_in(parts[-1]):
        return None  # `f'(x) = 4` asks where that is so
    if len(parts) >= 2 and is_name(parts[0]):
        return parts[0].replace(" ", ""), parts[-1]
    if len(parts) == 2 and is_name(parts[1]) and exact(parts[0]) is not None:
        return parts[1], parts[0]
    return None
