"""Licences as sources spell them, and whether a list of allowed ones covers one of them."""

import re
from collections.abc import Collection, Iterable

# Other spellings of SPDX identifiers, folded. What stands nowhere here is compared by its own folded name.
_SPELLINGS = {
    "apache-2": "apache-2.0",
    "apache2": "apache-2.0",
    "apache2.0": "apache-2.0",
    "asl-2.0": "apache-2.0",
    "expat": "mit",
    "mit/expat": "mit",
    "new-bsd": "bsd-3-clause",
    "bsd-new": "bsd-3-clause",
    "bsd-3": "bsd-3-clause",
    "simplified-bsd": "bsd-2-clause",
    "bsd-2": "bsd-2-clause",
    "cc0": "cc0-1.0",
    "cc-0": "cc0-1.0",
    "cc-zero": "cc0-1.0",
    "creative-commons-zero": "cc0-1.0",
    "odc-by": "odc-by-1.0",
    "odbl": "odbl-1.0",
    "pddl": "pddl-1.0",
    "mpl-2": "mpl-2.0",
}
_GNU = re.compile(r"(?P<kind>[al]?gpl)-?v?(?P<version>\d(?:\.\d)?)(?P<later>\+|-or-later)?(?:-only)?")
_CREATIVE = re.compile(r"creative-commons-(?P<rest>.+)")
_CREATIVE_WORDS = {
    "attribution": "by",
    "noncommercial": "nc",
    "non-commercial": "nc",
    "sharealike": "sa",
    "share-alike": "sa",
    "noderivatives": "nd",
    "noderivs": "nd",
    "no-derivatives": "nd",
    "zero": "zero",
}
_NOISE = re.compile(r"^the-|-(?:licen[cs]e|international|public-licen[cs]e)\b|\bversion-|\(.*?\)")
_OPERATORS = re.compile(r"\s+(OR|AND)\s+|([()])")


def canonical(licence: str) -> str:
    """Return one spelling for all of a licence's: an SPDX identifier in small letters where it is known, else its own.

    Case, spaces, underscores, `License` and `v2.0` for `2.0` do not matter; an unknown licence stays itself, folded.
    """
    folded = re.sub(r"[\s_,]+", "-", licence.strip().casefold())
    plain = _NOISE.sub("", folded).strip("-") or folded
    plain = re.sub(r"-v(?=\d)", "-", plain)
    if plain in _SPELLINGS:
        return _SPELLINGS[plain]
    if gnu := _GNU.fullmatch(plain.replace("gnu-", "")):
        version = gnu["version"] if "." in gnu["version"] else f"{gnu['version']}.0"
        return f"{gnu['kind']}-{version}-{'or-later' if gnu['later'] else 'only'}"
    if creative := _CREATIVE.fullmatch(plain):
        return _creative(creative["rest"])
    return plain


def allowed(licence: str, allow: Iterable[str]) -> bool:
    """Whether `allow` covers `licence`; of an SPDX expression it has to cover one side of OR and both of AND.

    `OR` and `AND` are operators in capitals alone: other words are part of a licence's own name.
    """
    return _covered(licence, {canonical(name) for name in allow} - {""})


def _creative(rest: str) -> str:
    for word, short in _CREATIVE_WORDS.items():
        rest = rest.replace(word, short)
    return f"cc-{rest}"


def _covered(licence: str, allow: Collection[str]) -> bool:
    if canonical(licence) in allow:
        return True
    for operator, decide in (("OR", any), ("AND", all)):  # OR binds less
        sides = _split(licence, operator)
        if len(sides) > 1:
            return decide([_covered(side, allow) for side in sides])
    inner = licence.strip()
    return inner[:1] == "(" and inner[-1:] == ")" and _covered(inner[1:-1], allow)


def _split(expression: str, operator: str) -> list[str]:
    """Cut an expression at an operator that stands in no parentheses."""
    sides, start, depth = [], 0, 0
    for found in _OPERATORS.finditer(expression):
        depth += {"(": 1, ")": -1}.get(found[2], 0)
        if depth == 0 and found[1] == operator:
            sides.append(expression[start : found.start()])
            start = found.end()
    return [*sides, expression[start:]]
