"""What a snapshot is made of: rows counted by category, mode, band of difficulty and domain."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from kat_data.domain.mode import Mode, transitions
from kat_data.snapshots.survey.block import MODES, Block, Coded, tally

BANDS: tuple[str, ...] = ("easy", "medium", "hard", "untagged")
_STEPS = tuple(transitions([Mode(one), Mode(other)])[0].value for one in MODES for other in MODES)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cell:
    """How many rows share a category, a mode, a band of difficulty and a domain."""

    category: str
    mode: str
    band: str
    domain: str
    rows: int


def count_cells(block: Block) -> Counter[tuple[str, ...]]:
    """Count the rows of a block by category, mode, band and domain.

    A difficulty of 1..10 is easy below 4, medium below 7, and hard from there on.
    """
    places = np.searchsorted((4, 7), block.difficulty, side="right")
    bands = Coded(BANDS, np.where(np.isnan(block.difficulty), BANDS.index("untagged"), places))
    return tally(block.category, block.mode, bands, block.domain)


def cells(counts: Counter[tuple[str, ...]]) -> tuple[Cell, ...]:
    """Return what `count_cells` counted, in sorted order."""
    return tuple(
        Cell(category=category, mode=mode, band=difficulty, domain=domain, rows=rows)
        for (category, mode, difficulty, domain), rows in sorted(counts.items())
    )


def count_steps(block: Block) -> Counter[tuple[str, ...]]:
    """Count how modes go on from turn to turn, by category and transition; without turns there is nothing."""
    if (turns := block.turns) is None:
        return Counter()
    steps = turns.follow
    places = turns.modes[steps] * len(MODES) + turns.modes[steps + 1]
    return tally(block.category.take(turns.rows[steps]), Coded(_STEPS, places))


def steps_by_category(counts: Counter[tuple[str, ...]]) -> dict[str, dict[str, int]]:
    """Return what `count_steps` counted, in sorted order."""
    found: dict[str, dict[str, int]] = {}
    for (category, step), count in sorted(counts.items()):
        found.setdefault(category, {})[step] = count
    return found


def totals(cells: Iterable[Cell], *dimensions: str) -> dict[tuple[str, ...], int]:
    """Sum cells over all but the named dimensions (`category`, `mode`, `band`, `domain`), in sorted order."""
    counts: Counter[tuple[str, ...]] = Counter()
    for cell in cells:
        counts[tuple(attrgetter(name)(cell) for name in dimensions)] += cell.rows
    return dict(sorted(counts.items()))
