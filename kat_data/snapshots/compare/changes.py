"""Rows that differ between two snapshots: a line for each as numbers in arrays, counted and shown by their reasons."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kat_data.domain.change import REASONS, ChangeKind, ChangeReason
from kat_data.domain.drop import DropReason
from kat_data.snapshots.compare.columns import Array, Columns

KINDS: Final = tuple(ChangeKind)
DROPS: Final[tuple[str, ...]] = tuple(drop.value for drop in DropReason)
NONE: Final = -1
"""The place of a row that a snapshot does not hold."""
NO_DROP: Final = 255

_NUMBER: Final = {reason: number for number, reason in enumerate(REASONS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A line for each row that differs, as arrays of one length.

    `kind` and `reason` are numbers of `KINDS` and `REASONS`, `before` and `after` places in the snapshots or `NONE`,
    and `labels` has a bit for each of the difference's labels that differs. `drop` is the number of a drop reason, or
    `NO_DROP`. `reason` and `drop` may be written into by who knows more.
    """

    kind: Array
    before: Array
    after: Array
    labels: Array
    reason: Array
    drop: Array

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between two snapshots; `labels` are those that both have, in the order of the bits of `changes`."""

    before: Columns
    after: Columns
    labels: tuple[str, ...]
    words: tuple[str, ...]
    kept: int
    changes: Changes

    def of(self, *kinds: ChangeKind) -> Array:
        """Return which of the changes are of these kinds, as places."""
        return np.flatnonzero(np.isin(self.changes.kind, [KINDS.index(kind) for kind in kinds]))

    def counted(self) -> list["Counted"]:
        """Return how many rows changed for which reason, the most first within each kind."""
        changes = self.changes
        groups, rows = np.unique(_grouped(changes), return_counts=True)
        found = [
            Counted(**_group(group), rows=count) for group, count in zip(groups.tolist(), rows.tolist(), strict=True)
        ]
        return sorted(found, key=lambda one: (KINDS.index(one.kind), -one.rows, one.reason, one.drop or ""))

    def counted_labels(self) -> dict[str, int]:
        """Return of how many rows, which both snapshots hold, each label differs."""
        bits = self.changes.labels
        counts = {name: int(np.count_nonzero(bits & 1 << place)) for place, name in enumerate(self.labels)}
        return {name: rows for name, rows in counts.items() if rows}

    def examples(self, limit: int) -> Iterator["Example"]:
        """Yield the first `limit` rows of each kind and reason: rows stand in a random order, the same every time."""
        grouped = _grouped(self.changes)
        for one in self.counted():
            for line in np.flatnonzero(grouped == _key(one))[:limit].tolist():
                yield self._example(one, line)

    def _example(self, counted: "Counted", line: int) -> "Example":
        places = int(self.changes.before[line]), int(self.changes.after[line])
        sides = [(columns, place) for columns, place in zip((self.before, self.after), places, strict=True)]
        ids = [columns.id[[place]].tobytes().hex() if place != NONE else None for columns, place in sides]
        columns, place = sides[1] if places[1] != NONE else sides[0]
        bits = int(self.changes.labels[line])
        return Example(
            kind=counted.kind,
            reason=counted.reason,
            drop=counted.drop,
            before=ids[0],
            after=ids[1],
            query=columns.query[[place]].tobytes().hex(),
            category=self._label(columns, "category", place),
            mode=self._label(columns, "mode", place),
            labels={
                name: (self._label(self.before, name, places[0]), self._label(self.after, name, places[1]))
                for bit, name in enumerate(self.labels)
                if bits & 1 << bit
            },
        )

    def _label(self, columns: Columns, name: str, place: int) -> Any:
        value = columns.labels[name][place].item()
        if isinstance(value, float):
            return None if np.isnan(value) else value
        if name == "lineage":
            return f"{value:016x}"
        return self.words[value] if value != NONE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many rows of a kind changed for one reason; `drop` is why a run dropped the query, where it did."""

    kind: ChangeKind
    reason: ChangeReason
    drop: str | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row that changed: its ids where it stands, its query, and what its labels were and are."""

    kind: ChangeKind
    reason: ChangeReason
    drop: str | None
    before: str | None
    after: str | None
    query: str
    category: str
    mode: str
    labels: dict[str, tuple[Any, Any]]


def number(reason: ChangeReason) -> int:
    """Return by what a reason stands in arrays."""
    return _NUMBER[reason]


def _grouped(changes: Changes) -> Array:
    return changes.kind.astype(np.int32) << 16 | changes.reason.astype(np.int32) << 8 | changes.drop


def _group(key: int) -> dict[str, Any]:
    drop = key & 255
    return {
        "kind": KINDS[key >> 16],
        "reason": REASONS[key >> 8 & 255],
        "drop": DROPS[drop] if drop != NO_DROP else None,
    }


def _key(one: Counted) -> int:
    drop = DROPS.index(one.drop) if one.drop else NO_DROP
    return KINDS.index(one.kind) << 16 | number(one.reason) << 8 | drop
