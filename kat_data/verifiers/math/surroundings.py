r"""What stands around the last box: a box that is part of more (`-\boxed{7}`), or denied, states no answer."""

import re

from kat_data.verifiers.math.units import is_known_unit

_COMMAND = (
    r"\\(?:neq?|not|approx|sim(?:eq)?|lt|gt|leq?(?:slant)?|geq?(?:slant)?|[pm]{2}|times|cdot|div|sqrt|log|ln)"
    r"(?![A-Za-z])"
)
_BEFORE = re.compile(
    rf"(?:{_COMMAND}\s*=?|!=|[<^_/+]|\|(?!\s)|(?<![=-])(?<!^)>"
    r"|\w\s*(?<!\*)\*|(?:^|[$=(\[{,*/^)}}\]]|\d|\\[(\[])\s*(?<!\*)-(?!\s+$)|\d\s*-"
    r"|\d\.?(?!\s)|\\(?:pi|infty))\s*\{?\s*$"
)
_DENIED = re.compile(
    r"(?:\bnot|n['’]t|\bnever|\bcannot|不是|并非|不等于|不为|非|\bexcept|\banything but|\bthan|\bwrong answer:?)"
    r"(?:\s+(?:be|equal(?:s|\s+to)?|simply|just|the answer|answer|choose|pick|write|say))?\s*$"
    r"|\b(?:instead of|rather than|(?:mistake|error) (?:is|would be)(?: to \w+)?"
    r"|(?:wrong|incorrect) answer(?: is|:)?)\s*$"
    r"|\b(?:doubt|false|untrue|not true|unlikely|deny)\s+that\b[^.]{0,40}$"
    r"|\b(?:maybe|perhaps|possibly|probably|not sure|(?:I|my) guess)\b[^.]{0,40}$|错误的?答案(?:是|为)?\s*:?\s*$",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"[\d)}$\]]\s*,?\s*(?:or|或)\s*$", re.IGNORECASE)
_OPENINGS = re.compile(r"(?:\s|\$|\*\*|\\[(\[]|(?<![A-Za-z])[A-Za-z]\s*=(?=\s*$))+$")
_PART_OF = re.compile(r"(?:\\(?:sqrt|[dtc]?frac|[dt]?binom|bar|overline)|[\]}^_])\s*$")
_COLOURED = re.compile(r"\\(?:text)?color\s*\{[^{}]*\}\s*$")
_AFTER = re.compile(
    r"\s*(?:[\^_/+>]|<(?![|/]|[a-z]+>)|\*(?!\*)\s*[\w(\\]|-\s*(?:\d|\\[a-z]|[A-Za-z]\b|\()|\.\d|\d|!\s*(?:\$|\\[)\]])"
    r"|->|\\(?:to|[rR]ightarrow|implies|pi|sqrt|frac|binom|cdot|times|div|pm|mp|sin|cos|tan|log|ln|approx|neq?|sim|infty|theta"
    r"|leq?(?:slant)?|geq?(?:slant)?|lt|gt)(?![A-Za-z]))|\||[A-Za-z](?![A-Za-z])|\{\s*[-\w\\]"
)
_CLOSINGS = r"(?:[\s$.]|\*\*|\\[)\]])*"
_REFUSED = re.compile(
    rf"{_CLOSINGS},?\s*(?:(?:is|are|was|would be)\s+(?:\w+ly\s+)?(?:not\b(?!\s+[\d$])|wrong|incorrect|false)"
    r"|isn['’]t|不对|不是|是错)"
    r"|[\s$]*\?|\s*\(\s*(?:incorrect|wrong|not (?:the|right|correct)\b)|.{0,20}\b(?:before|until) I\b"
    rf"|[\s$]*,?\s*(?:\\text\s*\{{\s*)?(?:or|and|或)\s*\}}?\s*[$\\(]*-?\d"
    rf"|[\s$]*[,;]\s*\$?-?[\d.]+{_CLOSINGS}$",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    r"[\s$]*(?P<percent>\\?%|percent(?:age points?)?\b)|\s*(?P<degree>\^\s*\{?\s*\\circ\s*\}?)"
    r"|[\s$]*(?:\\text\{\s*)?(?P<scale>dozen|hundred|thousand|million|billion|trillion|万|亿)",
    re.IGNORECASE,
)
_UNIT = re.compile(r"[\s$]*(?:\\text\{\s*)?([A-Za-z]{2,12}|(?<=[\s{])[mgshLJNWVAK])\}?(?=[\s$.,;]*(?:\n|$))")


def is_part(before: str, after: str) -> bool:
    """Whether a box with this text before and after it is a part of an expression, one of two, or denied."""
    line, rest = before.rpartition("\n")[2][-200:], after.partition("\n")[0][:200]
    opened = _unclosed(line)
    if opened is not None and _PART_OF.search(line[:opened]) and not _COLOURED.search(line[:opened]):
        return True
    if _BEFORE.search(line) or _AFTER.match(rest) or _REFUSED.match(rest):
        return True
    prose = _OPENINGS.sub("", line)
    return bool(_DENIED.search(prose) or _ALTERNATIVE.search(prose + " "))


def trailing(after: str) -> str:
    """The percent sign, degree sign, number word or unit that directly follows a box and belongs to its answer."""
    match = _TRAILING.match(after)
    if match is None:
        unit = _UNIT.match(after)
        return _unit(unit[1]) if unit else ""
    return match["degree"] or " " * bool(match["scale"]) + (match["percent"] or match["scale"])


def _unit(word: str) -> str:
    """A unit in words as it is, one letter in upright type, which tells it from a variable."""
    return rf" \text{{{word}}}" if len(word) == 1 else f" {word}" if is_known_unit(word) else ""


def _unclosed(line: str) -> int | None:
    """Where the innermost brace that is still open at the end of `line` stands."""
    depth = 0
    for index in range(len(line) - 1, -1, -1):
        depth += (line[index] == "}") - (line[index] == "{")
        if depth < 0:
            return index
    return None
