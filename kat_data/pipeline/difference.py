"""What differs between two snapshots, and why: the folders say what, the registry says why, where it knows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from kat_data.domain.change import BY_CODE, OF_DROP, REASONS, ChangeKind, ChangeReason
from kat_data.registry import changes as registry
from kat_data.registry.change_details import detail
from kat_data.registry.changes import Found, Origin
from kat_data.snapshots.compare.changes import DROPS, Difference, Example, number
from kat_data.snapshots.compare.columns import Columns
from kat_data.snapshots.compare.diff import difference
from kat_data.snapshots.compare.sides import Sides, side_by_side
from kat_data.snapshots.read import Snapshot

Origins = tuple[Origin | None, Origin | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two snapshots side by side, and the rows that differ with their reasons.

    `unknown` names the snapshots that the registry does not know: it cannot say why they lack a row. `origins` is
    what it knows of the two.
    """

    sides: Sides
    rows: Difference
    unknown: tuple[str, ...]
    origins: Origins


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """One row that differs, with a line on why beyond its reason where more is known."""

    row: Example
    detail: str


def compare_snapshots(connection: Connection | None, before: Snapshot, after: Snapshot) -> Comparison:
    """Compare two snapshots; without a connection, from their folders alone."""
    sides = side_by_side(before.manifest, after.manifest)
    rows = difference(before, after)
    origins: Origins = (None, None)
    if connection is not None:
        origins = _origin(connection, before), _origin(connection, after)
        _explain(connection, rows, origins, [part.key for part in sides.recipe])
    labels = (before.manifest.label, after.manifest.label)
    unknown = tuple(label for label, found in zip(labels, origins, strict=True) if found is None)
    return Comparison(sides=sides, rows=rows, unknown=unknown, origins=origins)


def shown_rows(connection: Connection | None, found: Comparison, limit: int) -> Iterator[ShownRow]:
    """Yield the first `limit` rows of each kind and reason."""
    for row in found.rows.examples(limit):
        yield ShownRow(row=row, detail=_told_by_labels(row) or _told_by_registry(connection, found, row))


def _told_by_labels(row: Example) -> str:
    return ", ".join(f"{name} {_plain(was)} → {_plain(now)}" for name, (was, now) in row.labels.items())


def _plain(value: Any) -> str:
    return "none" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def _told_by_registry(connection: Connection | None, found: Comparison, row: Example) -> str:
    if row.reason is ChangeReason.RECIPE:
        return ", ".join(part.key for part in found.sides.recipe)
    here, there = found.origins if row.before is not None else found.origins[::-1]
    sample = row.before or row.after
    if connection is None or there is None or sample is None:
        return ""
    return detail(connection, row.reason, query=row.query, sample=sample, holder=here, other=there)


def _origin(connection: Connection, snapshot: Snapshot) -> Origin | None:
    return registry.origin(connection, snapshot.manifest.hashed.content_hash)


def _explain(connection: Connection, rows: Difference, origins: Origins, keys: Sequence[str]) -> None:
    note = _Notes(
        rows,
        chosen_otherwise=any(key.startswith("queries.") for key in keys),
        made_otherwise=any(not key.startswith(("queries.", "name")) for key in keys),
    )
    old, new = origins
    if old is not None:
        _explain_absent(connection, note, rows.after, ChangeKind.ADDED, new, old)
    if new is not None:
        _explain_absent(connection, note, rows.before, ChangeKind.REMOVED, old, new)
    if old is not None and new is not None:
        _explain_replaced(connection, note, old, new)


def _explain_absent(
    connection: Connection, note: "_Notes", columns: Columns, kind: ChangeKind, holder: Origin | None, other: Origin
) -> None:
    changes = note.rows.changes
    lines = note.rows.of(kind)
    places = (changes.after if kind is ChangeKind.ADDED else changes.before)[lines]
    for start in range(0, len(lines), registry.BATCH):
        part = places[start : start + registry.BATCH]
        hashes = columns.query[part].tobytes(), columns.id[part].tobytes()
        for found in registry.why_absent(connection, *hashes, holder=holder, other=other):
            note(int(lines[start + found.place]), found)


def _explain_replaced(connection: Connection, note: "_Notes", before: Origin, after: Origin) -> None:
    rows = note.rows
    lines = rows.of(ChangeKind.CHANGED)
    lines = lines[rows.changes.labels[lines] == 0]
    for start in range(0, len(lines), registry.BATCH):
        part = lines[start : start + registry.BATCH]
        old, new = rows.changes.before[part], rows.changes.after[part]
        hashes = rows.before.query[old].tobytes(), rows.before.id[old].tobytes(), rows.after.id[new].tobytes()
        for found in registry.why_replaced(connection, *hashes, before=before, after=after):
            note(int(part[found.place]), found)


class _Notes:
    """Writes what the registry found of a line into the changes, where it knows more than the folders."""

    def __init__(self, rows: Difference, *, chosen_otherwise: bool, made_otherwise: bool) -> None:
        self.rows = rows
        self._chosen_otherwise = chosen_otherwise
        self._made_otherwise = made_otherwise

    def __call__(self, line: int, found: Found) -> None:
        changes = self.rows.changes
        if (reason := self._reason(found, REASONS[changes.reason[line]])) is not None:
            changes.reason[line] = number(reason)
        if found.drop in OF_DROP:
            changes.drop[line] = DROPS.index(found.drop)

    def _reason(self, found: Found, told: ChangeReason) -> ChangeReason | None:
        """Return what the registry says, or none where that is no more than what the folders told."""
        if found.code == registry.OTHER_SAMPLE:
            return None if told is ChangeReason.RESPONSES else ChangeReason.MIXTURE
        if found.code == registry.KEPT_BACK:
            return ChangeReason.MIXTURE
        reason = BY_CODE[found.code]
        if reason is ChangeReason.DROPPED and found.drop is not None:
            return OF_DROP.get(found.drop, reason)
        if reason is ChangeReason.NOT_CHOSEN and (self._chosen_otherwise or told is ChangeReason.RECIPE):
            return ChangeReason.RECIPE
        if reason is ChangeReason.ANSWER and self._made_otherwise:
            return ChangeReason.RECIPE
        return None if reason is ChangeReason.UNKNOWN else reason
