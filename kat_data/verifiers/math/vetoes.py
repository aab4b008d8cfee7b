"""What decides before any value is looked at: equal texts, doubt, code, letters, words, units, contradictions.

Each returns its decision, or none where the next one has to look.
"""

import re
from collections.abc import Callable
from itertools import pairwise

from kat_data.domain.verdict import Status
from kat_data.verifiers.math.answer import Answer, sides
from kat_data.verifiers.math.decision import Decision, decided
from kat_data.verifiers.math.interval import intervals
from kat_data.verifiers.math.notation import excluded_points, says_no_solution
from kat_data.verifiers.math.same import is_readable, names_in, same
from kat_data.verifiers.math.sentence import is_code
from kat_data.verifiers.math.units import same_unit
from kat_data.verifiers.math.value import exact

_UNSEEN = re.compile(r"\\(?:[hv]?phantom|[bx]?cancel|sout|st|not|hide)(?![A-Za-z])")
_DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/]\d{1,2}[-/]\d{4}")
_APPROXIMATELY = re.compile(r"\\(?:approx|simeq|doteq)(?![A-Za-z])")
_EMPTY_PLACE = re.compile(r"^,|,\s*(?:,|[)\]]|\\\})|[(\[]\s*,")
_PRIME = re.compile(r"(?<=[A-Za-z'])'|\\prime(?![A-Za-z])")
_DERIVATIVE = re.compile(r"\\[dt]?frac\s*\{\s*(?:d|\\partial)")
_RESIDUE = re.compile(r"\\[pb]?mod(?![A-Za-z])|(?<![A-Za-z\\])mod(?![A-Za-z])")


def same_text(gold: Answer, answer: Answer) -> Decision | None:
    """Accept an answer with the same text, white space and upright type aside."""
    return decided(True, "text") if gold.squeezed == answer.squeezed else None


def _code(gold: Answer, answer: Answer) -> Decision | None:
    return Decision(status=Status.UNPARSABLE, layer="code", note="the answer is code") if is_code(answer.text) else None


def _unseen(gold: Answer, answer: Answer) -> Decision | None:
    """Refuse what a reader would not see, or would see struck out."""
    if _UNSEEN.search(answer.text) and not _UNSEEN.search(gold.text):
        return Decision(status=Status.UNPARSABLE, layer="unseen", note="a part of the answer is hidden or struck out")
    return None


def _hedged(gold: Answer, answer: Answer) -> Decision | None:
    if excluded_points(answer.value) and intervals(gold.value):
        return None
    if answer.is_hedged and not gold.is_hedged:
        return Decision(status=Status.INCORRECT, layer="hedge", note="the answer doubts or denies its own value")
    return None


def _letter(gold: Answer, answer: Answer) -> Decision | None:
    return decided(gold.letter == answer.letter, "letter") if gold.letter else None


def _no_solution(gold: Answer, answer: Answer) -> Decision | None:
    """Take `no solution` for the empty set."""
    sign, phrase = sorted((gold.text, answer.text), key=lambda text: text != r"\emptyset")
    return decided(True, "words") if sign == r"\emptyset" and says_no_solution(phrase) else None


def _words(gold: Answer, answer: Answer) -> Decision | None:
    if gold.words is not None:
        short = answer.text.lower() if answer.text.isalpha() else None
        return decided(gold.words == (answer.words or short), "words")
    if answer.words is not None:
        return Decision(status=Status.UNPARSABLE, layer="words", note="the answer is words, the reference is not")
    return None


def _units(gold: Answer, answer: Answer) -> Decision | None:
    return None if same_unit(gold.unit, answer.unit) else decided(False, "unit", f"{answer.unit} is not {gold.unit}")


def _residues(gold: Answer, answer: Answer) -> Decision | None:
    if bool(_RESIDUE.search(f"{gold.value} {gold.unit}")) != bool(_RESIDUE.search(f"{answer.value} {answer.unit}")):
        return decided(False, "residue", "only one of the two is a residue class")
    return None


def _dates(gold: Answer, answer: Answer) -> Decision | None:
    """Compare dates part by part: they are no quotients or differences."""
    dates = [bool(_DATE.fullmatch(each.value)) for each in (gold, answer)]
    if dates == [False, False]:
        return None
    if not all(dates):
        return Decision(status=Status.UNPARSABLE, layer="date", note="only one of the two is a date")
    one, other = ([int(part) for part in re.split("[-/]", each.value)] for each in (gold, answer))
    return decided(one == other, "date")


def _ratios(gold: Answer, answer: Answer) -> Decision | None:
    """Compare ratios of three and more parts by their proportions."""
    one, other = gold.value.split(":"), answer.value.split(":")
    if max(len(one), len(other)) < 3 or "\\" in gold.value + answer.value:
        return None
    left, right = [exact(part) for part in one], [exact(part) for part in other]
    if len(left) != len(right) or not all(left) or not all(right):
        return decided(left == right and None not in left, "ratio")
    shares = {a / b for a, b in zip(left, right, strict=True) if a is not None and b is not None}
    return decided(len(shares) == 1, "ratio")


def _nesting(gold: Answer, answer: Answer) -> Decision | None:
    """Tell a set of a set from the set."""
    alike = gold.bracket == answer.bracket == "{}" and len(gold.members) == len(answer.members) == 1
    return decided(False, "members") if alike and gold.value.count("\\{") != answer.value.count("\\{") else None


def _empty_places(gold: Answer, answer: Answer) -> Decision | None:
    """Refuse `(1,,2)` and `(1, 2,)`, which have a place without a value."""
    if _EMPTY_PLACE.search(answer.value) and not _EMPTY_PLACE.search(gold.value):
        return Decision(status=Status.UNPARSABLE, layer="members", note="a place of the list is empty")
    return None


def _primes(gold: Answer, answer: Answer) -> Decision | None:
    """Tell a derivative from its function, which computer algebra reads without the prime."""
    if _DERIVATIVE.search(gold.value + answer.value):
        return None
    one, other = (len(_PRIME.findall(each.value)) for each in (gold, answer))
    alike = one == other or len(sides(gold.value)) != len(sides(answer.value))
    return None if alike else decided(False, "prime", "the derivatives differ in order")


def _fractional_part(gold: Answer, answer: Answer) -> Decision | None:
    """Tell `\\{x\\}`, a set or a fractional part, from `x`."""
    if {gold.bracket, answer.bracket} != {"", "{}"} or len(gold.members) != 1 or len(answer.members) != 1:
        return None
    return decided(False, "members") if names_in(gold.body) and names_in(answer.body) else None


def _contradiction(gold: Answer, answer: Answer) -> Decision | None:
    """Refuse `5 = 4`, whose last side would else count as the value; decimals may be rounded."""
    parts = [part.strip() for side in sides(answer.value) for part in _APPROXIMATELY.split(side)]
    if len(sides(gold.value)) > 1 or len(parts) < 2:
        return None
    values = [value for value in map(exact, parts) if value is not None]
    differ = any(abs(value - values[0]) > abs(values[0]) / 100 for value in values)
    closed = [part for part in parts if "." not in part and is_readable(part) and not names_in(part)]
    if differ or any(same(one, other) is False for one, other in pairwise(closed)):
        return decided(False, "equation", "the answer equates different numbers")
    return None


VETOES: tuple[Callable[[Answer, Answer], Decision | None], ...] = (
    same_text, _code, _unseen, _hedged, _letter, _no_solution, _words, _units, _residues, _dates, _ratios,
    _empty_places, _primes, _nesting, _fractional_part, _contradiction,
)  # fmt: skip
