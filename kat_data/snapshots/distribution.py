"""How rows are spread: over the strata of the recipe's mixture, over difficulties and over pass rates."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kat_data.domain.mode import Mode, switches
from kat_data.domain.stratum import Labels, first_that_holds, parse_stratum
from kat_data.snapshots.record import Record

UNTAGGED: Final = "untagged"
UNMEASURED: Final = "unmeasured"
DIFFICULTIES: Final = tuple(str(whole) for whole in range(1, 11))
PASS_RATES: Final = tuple(f"{tenth / 10:.1f}" for tenth in range(11))


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


def distribute(records: Iterable[Record], targets: Mapping[str, int]) -> Distribution:
    """Count records; one counts for the first stratum of `targets` that holds it, as strata may overlap."""
    names = {parse_stratum(name): name for name in targets}
    strata = tuple(names)
    difficulty, pass_rate, reached = Counter[str](), Counter[str](), Counter[str]()
    for record in records:
        difficulty[_difficulty(record["difficulty"])] += 1
        if "pass_rate" in record:
            pass_rate[_pass_rate(record["pass_rate"])] += 1
        if stratum := first_that_holds(strata, labels_of(record)):
            reached[names[stratum]] += 1
    return Distribution(
        difficulty=dict(sorted(difficulty.items())),
        pass_rate=dict(sorted(pass_rate.items())),
        strata=tuple(StratumRows(stratum=name, target=target, rows=reached[name]) for name, target in targets.items()),
    )


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


def _difficulty(value: float | None) -> str:
    return UNTAGGED if value is None else DIFFICULTIES[bisect_right(range(2, 11), value)]


def _pass_rate(value: float | None) -> str:
    return UNMEASURED if value is None else PASS_RATES[bisect_right(range(1, 11), value, key=lambda tenth: tenth / 10)]
