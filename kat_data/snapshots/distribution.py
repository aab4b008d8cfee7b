"""How rows are spread: over the strata of the recipe's mixture, over difficulties and over pass rates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kat_data.domain.mode import Mode, switches
from kat_data.domain.stratum import Labels, Stratum, as_written, parse_stratum
from kat_data.snapshots.record import Record
from kat_data.snapshots.survey.block import Block, Coded, tally

UNTAGGED: Final = "untagged"
UNMEASURED: Final = "unmeasured"
DIFFICULTIES: Final = tuple(str(whole) for whole in range(1, 11))
PASS_RATES: Final = tuple(f"{tenth / 10:.1f}" for tenth in range(11))
_TENTHS: Final = [tenth / 10 for tenth in range(1, 11)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumRows:
    """How many rows a stratum of the mixture was to have, and how many count for it."""

    stratum: str
    target: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Rows by difficulty, by pass rate, and by stratum in the mixture's order.

    Difficulties are rounded down to whole numbers and pass rates to tenths. Where rows have no such column, or the
    recipe has no mixture that they can be compared with, there is nothing.
    """

    difficulty: dict[str, int]
    pass_rate: dict[str, int]
    strata: tuple[StratumRows, ...]

    @property
    def targets(self) -> dict[str, int]:
        """The mixture: how many rows each stratum was to have."""
        return {found.stratum: found.target for found in self.strata}


class DistributionCounts:
    """A distribution as it is counted, block by block, for a mixture of `targets`."""

    def __init__(self, targets: Mapping[str, int]) -> None:
        self._targets = targets
        self._strata = [parse_stratum(name) for name in targets]
        self._difficulty = Counter[tuple[str, ...]]()
        self._pass_rate = Counter[tuple[str, ...]]()
        self._reached = Counter[tuple[str, ...]]()

    def add(self, block: Block) -> None:
        """Count the rows of a block; one counts for the first stratum that holds it, as strata may overlap."""
        self._difficulty.update(tally(_bins(block.difficulty, range(2, 11), (*DIFFICULTIES, UNTAGGED))))
        if block.pass_rate is not None:
            self._pass_rate.update(tally(_bins(block.pass_rate, _TENTHS, (*PASS_RATES, UNMEASURED))))
        if self._strata:
            self._reached.update(tally(Coded((*self._targets, ""), _first_that_holds(self._strata, block))))

    def merge(self, other: "DistributionCounts") -> None:
        """Add what another counted for the same mixture."""
        self._difficulty.update(other._difficulty)
        self._pass_rate.update(other._pass_rate)
        self._reached.update(other._reached)

    def distribution(self) -> Distribution:
        """Return what was counted."""
        return Distribution(
            difficulty={name: count for (name,), count in sorted(self._difficulty.items())},
            pass_rate={name: count for (name,), count in sorted(self._pass_rate.items())},
            strata=tuple(
                StratumRows(stratum=name, target=target, rows=self._reached[name,])
                for name, target in self._targets.items()
            ),
        )


def _bins(values: NDArray[Any], begins: Sequence[float], names: Sequence[str]) -> Coded:
    """Return the bin of each number, and the last name for NaN."""
    places = np.searchsorted(begins, values, side="right")
    return Coded(names, np.where(np.isnan(values), len(names) - 1, places))


def _first_that_holds(strata: Sequence[Stratum], block: Block) -> NDArray[Any]:
    """Return the place of the first stratum that holds each row, and one beyond them where none does."""
    found = np.full(block.rows, len(strata))
    for place, stratum in reversed(list(enumerate(strata))):
        found[_held(stratum, block)] = place
    return found


def _held(stratum: Stratum, block: Block) -> NDArray[Any]:
    held = np.ones(block.rows, dtype=bool)
    for name, values in stratum.allowed:
        column: Coded = getattr(block, name)
        held &= np.array([value != "" and as_written(value) in values for value in column.values])[column.codes]
    for name, low, high in stratum.bounds:
        numbers = getattr(block, name)
        held &= (numbers >= low) & (numbers <= high) if numbers is not None else False
    return held


def labels_of(record: Record) -> Labels:
    """Return what a record says of itself, by which it counts for a stratum."""
    return Labels(
        category=record["category"],
        mode=record["mode"] or None,
        switches=switches([Mode(turn["mode"]) for turn in record.get("turns", ())]),
        domain=record["domain"] or None,
        difficulty=record["difficulty"],
        pass_rate=record.get("pass_rate"),
    )
