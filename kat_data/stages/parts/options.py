"""The options that a multiple-choice question lists in its own text."""

import re
from string import ascii_uppercase

_LINE = re.compile(r"^[ \t]*[(\[]?([A-J])[)\].:、．：][ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_INLINE = re.compile(
    r"(?<![^\s(（])[(（]?([A-J])[)）][ \t]*(\S.*?)(?=[ \t]*[,;，；]?[ \t]*[(（]?[A-J][)）]|\s*$)", re.MULTILINE
)
_FEWEST_LINES, _FEWEST_INLINE = 2, 3


def listed_options(text: str) -> tuple[str, ...]:
    """Return the texts of the options A, B, … that `text` lists at its end, on lines of their own or as `A) … B) …`.

    Empty where it lists none; what only looks like a letter or two (initials, parts of a question) is no list.
    """
    for pattern, fewest in ((_LINE, _FEWEST_LINES), (_INLINE, _FEWEST_INLINE)):
        found = _last_run(pattern.findall(text))
        if len(found) >= fewest:
            return found
    return ()


def _last_run(marked: list[tuple[str, str]]) -> tuple[str, ...]:
    """The texts of the last run of letters that begins with A and goes on without a gap."""
    run: list[str] = []
    for letter, option in marked:
        if letter == "A":
            run = [option]
        elif run and letter == ascii_uppercase[len(run)]:
            run.append(option)
    return tuple(run)
