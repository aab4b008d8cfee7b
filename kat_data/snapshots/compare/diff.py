"""How two snapshots differ, row by row: joins of sorted arrays, and what the folders alone tell of the reasons.

A row that both hold is one of the same id, which is the hash of its sample. Rows without such a partner are paired by
query, in the order of their ids: another sample of the query. What is left was added or removed.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from kat_data.domain.change import ChangeKind, ChangeReason
from kat_data.errors import SnapshotError
from kat_data.snapshots.compare.changes import KINDS, NO_DROP, NONE, Changes, Difference, number
from kat_data.snapshots.compare.columns import Array, Columns, Vocabulary, numbered, read_columns
from kat_data.snapshots.read import Snapshot

_OF_LABELS: Final = (
    (ChangeReason.REMADE, ("lineage",)),
    (ChangeReason.SPLIT, ("split",)),
    (ChangeReason.SOURCE, ("source", "licence")),
    (ChangeReason.RELABELLED, ("category", "domain", "mode")),
    (ChangeReason.RESCORED, ("difficulty", "pass_rate")),
    (ChangeReason.VERDICT, ("verdict",)),
)
"""What another label means, the weightiest last: a row of which several differ has its reason."""


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """Compare the rows of two snapshots; raises `SnapshotError` where one is damaged."""
    words: Vocabulary = {}
    old, new = read_columns(before, words), read_columns(after, words)
    labels = tuple(name for name in old.labels if name in new.labels)
    kept_old, kept_new = _same_ids(old, new)
    only_old, only_new = _others(old, kept_old), _others(new, kept_new)
    queries = numbered(old.query, new.query)
    paired_old, paired_new = _pairs(old.id, queries[0], only_old, new.id, queries[1], only_new)
    removed, added = np.setdiff1d(only_old, paired_old), np.setdiff1d(only_new, paired_new)
    bits = _differing(old, new, kept_old, kept_new, labels)
    relabelled = np.flatnonzero(bits)
    sides = (before.manifest.hashed.recipe, after.manifest.hashed.recipe)
    changes = _joined(
        _one_sided(ChangeKind.ADDED, added, _absent(new, added, queries[::-1], sides[0], words)),
        _one_sided(ChangeKind.REMOVED, removed, _absent(old, removed, queries, sides[1], words)),
        _two_sided(
            paired_old, paired_new, np.zeros(len(paired_old), np.uint16), _replaced(old, new, paired_old, paired_new)
        ),
        _two_sided(kept_old[relabelled], kept_new[relabelled], bits[relabelled], _relabelled(bits[relabelled], labels)),
    )
    return Difference(
        before=old, after=new, labels=labels, words=tuple(words), kept=len(kept_old) - len(relabelled), changes=changes
    )


def _same_ids(old: Columns, new: Columns) -> tuple[Array, Array]:
    """Return the places of the rows that both hold; raises `SnapshotError` where an id stands in one of them twice."""
    ids = numbered(old.id, new.id)
    if any(np.bincount(side).max(initial=0) > 1 for side in ids):
        raise SnapshotError("two rows of a snapshot have the same id: `kat snapshots verify` says which snapshot it is")
    _, here, there = np.intersect1d(*ids, assume_unique=True, return_indices=True)
    return here, there


def _others(columns: Columns, kept: Array) -> Array:
    """Return the places that are not among `kept`."""
    mask = np.ones(len(columns.id), bool)
    mask[kept] = False
    return np.flatnonzero(mask)


def _pairs(
    old: Array, old_query: Array, only_old: Array, new: Array, new_query: Array, only_new: Array
) -> tuple[Array, Array]:
    """Pair rows of the same query, the first by id with the first; return the places of both."""
    old_keys, old_places = _ranked(old, old_query, only_old)
    new_keys, new_places = _ranked(new, new_query, only_new)
    _, here, there = np.intersect1d(old_keys, new_keys, assume_unique=True, return_indices=True)
    return old_places[here], new_places[there]


def _ranked(ids: Array, queries: Array, places: Array) -> tuple[Array, Array]:
    """Return a key for each row, of its query and its rank among that query's rows by id, with the rows' places."""
    places = places[np.lexsort((ids[places], queries[places]))]
    query = queries[places]
    _, start, count = np.unique(query, return_index=True, return_counts=True)
    rank = np.arange(len(query)) - np.repeat(start, count)
    return query.astype(np.int64) << 24 | rank, places


def _differing(old: Columns, new: Columns, kept_old: Array, kept_new: Array, labels: tuple[str, ...]) -> Array:
    bits = np.zeros(len(kept_old), np.uint16)
    for place, name in enumerate(labels):
        one, other = old.labels[name][kept_old], new.labels[name][kept_new]
        same = one == other
        if one.dtype.kind == "f":
            same |= np.isnan(one) & np.isnan(other)
        bits |= (~same).astype(np.uint16) << place
    return bits


def _relabelled(bits: Array, labels: tuple[str, ...]) -> Array:
    reason = np.zeros(len(bits), np.uint8)
    for why, names in _OF_LABELS:
        mask = sum(1 << labels.index(name) for name in names if name in labels)
        reason[bits & mask != 0] = number(why)
    return reason


def _replaced(old: Columns, new: Columns, here: Array, there: Array) -> Array:
    moved = old.labels["mode"][here] != new.labels["mode"][there]
    return np.where(moved, number(ChangeReason.MODE), number(ChangeReason.UNKNOWN)).astype(np.uint8)


def _absent(
    columns: Columns, places: Array, queries: tuple[Array, Array], recipe: Mapping[str, Any], words: Vocabulary
) -> Array:
    """Return why the other snapshot, of `recipe`, lacks these rows, as far as the folders tell."""
    reason = np.full(len(places), number(ChangeReason.UNKNOWN), np.uint8)
    chosen = recipe.get("queries") or {}
    for name, wanted in (("source", chosen.get("sources")), ("category", chosen.get("categories"))):
        reason[_outside(columns.labels[name][places], wanted, words)] = number(ChangeReason.RECIPE)
    reason[np.isin(queries[0][places], queries[1])] = number(ChangeReason.RESPONSES)
    return reason


def _outside(codes: Array, wanted: Collection[str] | None, words: Vocabulary) -> Array:
    if not wanted:
        return np.zeros(len(codes), bool)
    return ~np.isin(codes, [words.get(name, NONE) for name in wanted])


def _one_sided(kind: ChangeKind, places: Array, reason: Array) -> Changes:
    nowhere = np.full(len(places), NONE)
    before, after = (nowhere, places) if kind is ChangeKind.ADDED else (places, nowhere)
    return _changes(kind, before, after, np.zeros(len(places), np.uint16), reason)


def _two_sided(before: Array, after: Array, labels: Array, reason: Array) -> Changes:
    return _changes(ChangeKind.CHANGED, before, after, labels, reason)


def _changes(kind: ChangeKind, before: Array, after: Array, labels: Array, reason: Array) -> Changes:
    return Changes(
        kind=np.full(len(reason), KINDS.index(kind), np.uint8),
        before=before,
        after=after,
        labels=labels,
        reason=reason,
        drop=np.full(len(reason), NO_DROP, np.uint8),
    )


def _joined(*parts: Changes) -> Changes:
    names = ("kind", "before", "after", "labels", "reason", "drop")
    return Changes(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
