"""The mixture that a snapshot's recipe asks for, which rows it takes, and how near they come to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kat_data.domain.mixture import mixture_of
from kat_data.domain.stratum import first_that_holds, parse_stratum
from kat_data.errors import SnapshotError
from kat_data.snapshots.distribution import Distribution, StratumRows, labels_of
from kat_data.snapshots.record import Record, TrainingStage

_TOLD_BY: Final = {"pass_rate": TrainingStage.STAGE3, "switches": TrainingStage.STAGE2}
"""Labels that the rows of one stage alone hold."""
COLUMNS: Final = ("stratum", "target", "target share", "rows", "share", "difference", "state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One stratum: rows and share of all rows, as the recipe asks and as reached; `difference` in percentage points."""

    stratum: str
    target_rows: int
    target_share: float
    rows: int
    share: float
    difference: float
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A mixture stratum by stratum; `outside` counts the rows that count for none."""

    strata: tuple[Comparison, ...]
    outside: int
    outside_share: float


def targets(recipe: Mapping[str, Any], stage: TrainingStage) -> dict[str, int]:
    """Return how many rows each stratum is to have, in the recipe's order; raises `SnapshotError` on a broken mixture.

    Nothing where the recipe has no mixture, and where rows of `stage` do not hold what it asks for (`untold`).
    """
    try:
        found = mixture_of(recipe)
    except ValueError as error:
        raise SnapshotError(f"the mixture of the recipe cannot be read: {error}") from error
    return {} if found is None or untold(recipe, stage) else found.targets


def untold(recipe: Mapping[str, Any], stage: TrainingStage) -> tuple[str, ...]:
    """Return the labels that the recipe's mixture asks for, and that rows of `stage` do not hold."""
    found = mixture_of(recipe)
    return tuple(name for name, told in _TOLD_BY.items() if found and name in found.dimensions and stage is not told)


def within(records: Iterable[Record], targets: Mapping[str, int]) -> set[str]:
    """Return the ids of the records that a mixture takes: of each stratum at most its target, the first of `records`.

    What lies in no stratum is not taken either. Without `targets` there is no mixture, and all are taken.
    """
    if not targets:
        return {record["id"] for record in records}
    lacks = {parse_stratum(name): target for name, target in targets.items()}
    strata = tuple(lacks)
    ids = set()
    for record in records:
        stratum = first_that_holds(strata, labels_of(record))
        if stratum is not None and lacks[stratum]:
            lacks[stratum] -= 1
            ids.add(record["id"])
    return ids


def compare(distribution: Distribution, rows: int) -> Reached:
    """Compare what the strata hold of a snapshot's `rows` with what they were to hold."""
    wanted = sum(found.target for found in distribution.strata) or 1
    outside = rows - sum(found.rows for found in distribution.strata)
    return Reached(
        strata=tuple(_comparison(found, wanted, rows) for found in distribution.strata),
        outside=outside,
        outside_share=outside / rows,
    )


def lines(reached: Reached) -> list[tuple[Any, ...]]:
    """Return the comparison as a table for people reads it, by `COLUMNS`; the last line has the rows outside."""
    return [
        *(
            (
                c.stratum,
                c.target_rows,
                f"{c.target_share:.1%}",
                c.rows,
                f"{c.share:.1%}",
                f"{round(c.difference, 1) + 0.0:+.1f} pp",
                c.state,
            )
            for c in reached.strata
        ),
        ("outside every stratum", "", "", reached.outside, f"{reached.outside_share:.1%}", "", ""),
    ]


def category_targets(strata: Sequence[StratumRows]) -> dict[str, dict[str, float]]:
    """Return the target's share by category and mode, with an empty mode where strata leave it open.

    Categories that a stratum shares with others are left out, as their own part of it cannot be told.
    """
    wanted = sum(found.target for found in strata)
    shares: dict[str, dict[str, float]] = {}
    shared: set[str] = set()
    for found in strata:
        if found.target:
            stratum = parse_stratum(found.stratum)
            shared.update(stratum.categories if len(stratum.categories) > 1 else ())
            modes = dict(stratum.allowed).get("mode", ())
            by_mode = shares.setdefault(stratum.categories[0], {})
            mode = modes[0] if len(modes) == 1 else ""
            by_mode[mode] = by_mode.get(mode, 0.0) + found.target / wanted
    return {category: by_mode for category, by_mode in shares.items() if category not in shared}


def _comparison(found: StratumRows, wanted: int, rows: int) -> Comparison:
    target, share = found.target / wanted, found.rows / rows
    return Comparison(
        stratum=found.stratum,
        target_rows=found.target,
        target_share=target,
        rows=found.rows,
        share=share,
        difference=100 * (share - target),
        state="filled" if found.rows >= found.target else "short",
    )
