"""What differs between two snapshots, and why: the folders say what, the registry says why, where it knows."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from kat_data.domain.change import BY_CODE, OF_DROP, REASONS, ChangeKind, ChangeReason
from kat_data.registry import changes as registry
from kat_data.registry.changes import Found, Origin
from kat_data.snapshots.changes import DROPS, Difference, number
from kat_data.snapshots.columns import Columns
from kat_data.snapshots.diff import difference
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.sides import Part, Sides, side_by_side


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two snapshots side by side, and the rows that differ with their reasons.

    `unknown` names the snapshots that the registry does not know: it cannot say why they lack a row.
    """

    sides: Sides
    rows: Difference
    unknown: tuple[str, ...]


def compare_snapshots(connection: Connection | None, before: Snapshot, after: Snapshot) -> Comparison:
    """Compare two snapshots; without a connection, from their folders alone."""
    sides = side_by_side(before.manifest, after.manifest)
    rows = difference(before, after)
    unknown: tuple[str, ...] = (before.manifest.label, after.manifest.label)
    if connection is not None:
        unknown = _explain(connection, rows, before, after, sides.recipe)
    return Comparison(sides=sides, rows=rows, unknown=unknown)


def _explain(
    connection: Connection, rows: Difference, before: Snapshot, after: Snapshot, recipe: Iterable[Part]
) -> tuple[str, ...]:
    old, new = (registry.origin(connection, side.manifest.hashed.content_hash) for side in (before, after))
    keys = [part.key for part in recipe]
    note = _Notes(
        rows,
        chosen_otherwise=any(key.startswith("queries.") for key in keys),
        made_otherwise=any(not key.startswith(("queries.", "name")) for key in keys),
    )
    if old is not None:
        _explain_absent(connection, note, rows.after, ChangeKind.ADDED, new, old)
    if new is not None:
        _explain_absent(connection, note, rows.before, ChangeKind.REMOVED, old, new)
    if old is not None and new is not None:
        _explain_replaced(connection, note, old, new)
    return tuple(side.manifest.label for side, found in ((before, old), (after, new)) if found is None)


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
