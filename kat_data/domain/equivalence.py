"""Classes of equal answers: where there is no reference, the largest is the likely answer (§4.1.2)."""

from dataclasses import dataclass

from kat_data.domain.verdict import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Classes of equal answers as positions in the sequence, largest first, ties in order of appearance.

    `answers` has the final answer of each class, as a reference can state it. `excluded` holds (position, status) of
    the answers that state no value: unparsable, over_limit or timeout.
    """

    classes: tuple[tuple[int, ...], ...]
    answers: tuple[str, ...] = ()
    excluded: tuple[tuple[int, Status], ...] = ()

    @property
    def confidence(self) -> float:
        """The share of the largest class in all answers, excluded ones included; 0 without answers."""
        total = sum(map(len, self.classes)) + len(self.excluded)
        return len(self.classes[0]) / total if self.classes else 0.0
