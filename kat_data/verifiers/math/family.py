r"""Families of solutions with an integer parameter: `\pi + 2k\pi, k \in \mathbb{Z}`."""

import re

from kat_data.domain.verdict import Status
from kat_data.verifiers.math.answer import Answer
from kat_data.verifiers.math.decision import Decision, decided
from kat_data.verifiers.math.names import bare
from kat_data.verifiers.math.same import names_in, same_unordered

_PARAMETER = re.compile(
    r"[,;]?\s*\(?\s*(?:\\text\s*\{\s*,?\s*(?:where|with|for(?: (?:any|all|some|integers?|any integer))?)\s*\}\s*)?"
    r"(?P<name>[a-z])\s*(?:\\in\s*(?:\\mathbb\s*\{?\s*Z\s*\}?|\\Z)"
    r"|\\text\s*\{\s*(?:is )?(?:an integer|any integer|integer)\s*\})\s*\)?\s*$"
)


def compare_families(gold: Answer, answer: Answer) -> Decision | None:
    """Accept families with equal terms, whatever their parameter is called; the same set written otherwise stays open.

    None where the reference is no family. An answer may leave out what its parameter is if it has the same name.
    """
    one, other = _PARAMETER.search(gold.value), _PARAMETER.search(answer.value)
    if one is None or not one.start():
        return None
    term = answer.value[: other.start()] if other else answer.value
    if other and other["name"] != one["name"]:
        if re.search(rf"(?<![A-Za-z\\]){one['name']}(?![A-Za-z])", term):
            return None
        term = re.sub(rf"(?<![A-Za-z\\]){other['name']}(?![A-Za-z])", one["name"], term)
    left, right = bare(gold.with_value(gold.value[: one.start()]), answer.with_value(term))
    if not all(one["name"] in names_in(member) for member in right.members):
        return decided(False, "family", "the answer is no family of solutions")
    if same_unordered(left.members, right.members):
        return decided(True, "family")
    return Decision(status=Status.UNPARSABLE, layer="family", note="the terms differ; the families may be equal")
