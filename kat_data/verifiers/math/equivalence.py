"""Groups of equal answers, for soft labels: where there is no reference, the largest class is the likely answer.

The paper's soft labels (section 4.1.2) need the classes among k sampled answers. Texts and plain numbers that are
equal fall together without computer algebra, which then sees each class once.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from kat_data.domain.equivalence import Equivalence
from kat_data.domain.verdict import Status
from kat_data.verifiers.math.answer import Answer, make_answer
from kat_data.verifiers.math.extract import extract
from kat_data.verifiers.math.pool import MathPool
from kat_data.verifiers.math.same import is_readable
from kat_data.verifiers.math.sentence import is_code
from kat_data.verifiers.math.text import normalise
from kat_data.verifiers.math.value import exact
from kat_data.verifiers.math.verifier import compute, decide

_UNMARKED = frozenset({"number", "segment"})


@dataclass(slots=True, kw_only=True)
class _Class:
    answer: Answer
    positions: list[int]


def group_answers(answers: Sequence[str], pool: MathPool) -> Equivalence:
    """Group replies by the values of their final answers; raises `VerifierFault` if the workers break.

    An answer joins the first class whose representative it equals, whichever of the two is the reference. A
    representative without a unit gives way to a member with one, so `5 cm` and `5 mm` never meet through `5`.
    """
    taken = [_final(reply) for reply in answers]
    alike: dict[Hashable, list[int]] = {}
    for position, answer in enumerate(taken):
        alike.setdefault(_key(answer), []).append(position)
    classes: list[_Class] = []
    excluded: list[tuple[int, Status]] = []
    for positions in alike.values():
        answer = taken[positions[0]]
        if status := _unfit(answer, pool):
            excluded += [(position, status) for position in positions]
        else:
            _place(answer, positions, classes, pool)
    ordered = sorted(classes, key=lambda each: (-len(each.positions), min(each.positions)))
    return Equivalence(
        classes=tuple(tuple(sorted(each.positions)) for each in ordered),
        answers=tuple(_as_reference(each.answer.text) for each in ordered),
        excluded=tuple(sorted(excluded)),
    )


def _final(reply: str) -> Answer:
    """The reply's final answer; the last sentence of a reply that marks none is prose (`No idea at all.`), and none."""
    found = extract(normalise(reply))
    answer = make_answer(found.text if found.plain else "")
    return make_answer("") if found.found in _UNMARKED and answer.words is not None else answer


def _as_reference(text: str) -> str:
    """The answer as a reference states it: in a box where it could be read as something else when it stands alone."""
    return text if extract(normalise(text)).text == text else rf"\boxed{{{text}}}"


def _key(answer: Answer) -> Hashable:
    value = exact(answer.value)
    return (answer.squeezed, "") if value is None else (value, answer.unit)


def _place(answer: Answer, positions: list[int], classes: list[_Class], pool: MathPool) -> None:
    for each in classes:
        if _equal(each.answer, answer, pool):
            each.positions += positions
            each.answer = answer if answer.unit and not each.answer.unit else each.answer
            return
    classes.append(_Class(answer=answer, positions=list(positions)))


def _equal(one: Answer, other: Answer, pool: MathPool) -> bool:
    """Whether each of the two would pass as an answer to the other."""
    pairs = ((one, other), (other, one))
    return all(decide(gold.text, answer.text, pool).status is Status.CORRECT for gold, answer in pairs)


def _unfit(answer: Answer, pool: MathPool) -> Status | None:
    """Why an answer states no value, or none where it does."""
    if not answer.text.strip("{}$ \\") or is_code(answer.text) or answer.is_hedged:
        return Status.UNPARSABLE
    if answer.letter or answer.words is not None or is_readable(answer.value):
        return None
    status = compute(answer, answer, pool).status
    return None if status in {Status.CORRECT, Status.INCORRECT} else status
