"""What a snapshot is made of: rows counted by category, mode, band of difficulty and domain."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from kat_data.domain.mode import Mode, transitions
from kat_data.snapshots.block import MODES, Block, Coded, tally
from kat_data.snapshots.record import Record

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


def band(difficulty: float | None) -> str:
    """Return the band of a difficulty of 1..10: easy below 4, medium below 7, hard from there on."""
    if difficulty is None:
        return "untagged"
    return "easy" if difficulty < 4 else "medium" if difficulty < 7 else "hard"


def count_cells(block: Block) -> Counter[tuple[str, ...]]:
    """Count the rows of a block by category, mode, band and domain."""
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


def compose(records: Iterable[Record]) -> tuple[Cell, ...]:
    """Count records into cells, in sorted order."""
    counts = Counter((r["category"], r["mode"], band(r["difficulty"]), r["domain"]) for r in records)
    return tuple(
        Cell(category=category, mode=mode, band=difficulty, domain=domain, rows=rows)
        for (category, mode, difficulty, domain), rows in sorted(counts.items())
    )


def count_transitions(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Count how modes go on from turn to turn, by category; records without `turns` (stages 1 and 3) add nothing."""
    counts: dict[str, Counter[str]] = {}
    for record in records:
        modes = [Mode(turn["mode"]) for turn in record.get("turns", ())]
        if len(modes) > 1:
            counts.setdefault(record["category"], Counter()).update(t.value for t in transitions(modes))
    return {category: dict(sorted(found.items())) for category, found in sorted(counts.items())}


def totals(cells: Iterable[Cell], *dimensions: str) -> dict[tuple[str, ...], int]:
    """Sum cells over all but the named dimensions (`category`, `mode`, `band`, `domain`), in sorted order."""
    counts: Counter[tuple[str, ...]] = Counter()
    for cell in cells:
        counts[tuple(attrgetter(name)(cell) for name in dimensions)] += cell.rows
    return dict(sorted(counts.items()))
