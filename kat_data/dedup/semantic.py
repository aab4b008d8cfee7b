"""Clusters of texts that mean nearly the same: unit vectors whose cosine to a cluster's leader reaches a threshold.

Leaders are found cell by cell. Cells are spherical k-means over a sample, as many as the square root of the vectors,
and a leader counts in the sixteen cells nearest to it: n vectors cost at most 17 n^1.5 cosines instead of n^2 / 2, and
nearly all pairs that a border parts are found (`benchmarks/semantic.py`). Up to `EXACT` vectors there is one cell, and
no pair is missed.

Memory beside the vectors themselves (which may be a file): blocks of a few megabytes and some bytes a vector. The same
vectors in the same order give the same clusters on one machine; on another, a cosine within its rounding of the
threshold may fall on the other side.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kat_data.dedup.mixing import mix64

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Places = NDArray[np.int64]

EXACT = 4096
_BLOCK = 2048
_SAMPLE_PER_CELL = 64
_ROUNDS = 8
_NEAREST_CELLS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """One cluster for each vector, by the place of its representative: the member nearest to the cluster's centre.

    `similarity` is each vector's cosine to the centre.
    """

    representative: Places
    similarity: Floats


def cluster(vectors: Halves, threshold: float) -> Clusters:
    """Return the clusters of unit vectors, one a row, at a cosine of `threshold`."""
    leader = _leaders(vectors, threshold)
    places, label = np.unique(leader, return_inverse=True)
    similarity = _to_centres(vectors, label, len(places))
    # The nearest to the centre first, and of equals the first: one representative for each label.
    order = np.lexsort((np.arange(len(label)), -similarity, label))
    first = np.concatenate(([True], np.diff(label[order]) != 0)) if len(order) else np.zeros(0, bool)
    return Clusters(representative=order[first][label].astype(np.int64), similarity=similarity)


def _leaders(vectors: Halves, threshold: float) -> Places:
    """Return each vector's leader: the nearest of those before it, or itself where none reaches the threshold."""
    leader = np.arange(len(vectors))
    if len(vectors) <= EXACT:
        _lead(vectors, leader.copy(), np.zeros(0, np.int64), threshold, leader)
        return leader
    centres = _centres(vectors, math.isqrt(len(vectors)))
    own = _own_cells(vectors, centres)
    order = np.argsort(own, kind="stable")
    bounds = np.searchsorted(own[order], np.arange(len(centres) + 1))
    waiting: dict[int, list[int]] = defaultdict(list)  # leaders by the further cells in which they count
    for cell in range(len(centres)):
        members = order[bounds[cell] : bounds[cell + 1]]
        new = _lead(vectors, members, np.array(waiting.pop(cell, []), dtype=np.int64), threshold, leader)
        for block in _blocks(new):
            for place, cells in zip(block.tolist(), _near_cells(vectors[block], centres).tolist(), strict=True):
                for other in cells:
                    if other > cell:
                        waiting[other].append(place)
    return leader


def _lead(vectors: Halves, members: Places, leaders: Places, threshold: float, leader: Places) -> Places:
    """Give every member its leader, noted in `leader`; return those that became leaders."""
    known = [vectors[leaders].astype(np.float32)]
    places = [leaders]
    for block in _blocks(members):
        rows = vectors[block].astype(np.float32)
        everyone, names = np.concatenate(known), np.concatenate(places)
        best = rows @ everyone.T if len(everyone) else np.full((len(rows), 1), -2.0, np.float32)
        nearest = best.argmax(axis=1)
        led = best[np.arange(len(rows)), nearest] >= threshold
        leader[block[led]] = names[nearest[led]] if led.any() else leader[block[led]]
        left = np.flatnonzero(~led)
        found = left[_greedy(rows[left], threshold, leader, block[left])]
        known.append(rows[found])
        places.append(block[found])
    return np.concatenate(places[1:]) if len(places) > 1 else np.zeros(0, np.int64)


def _greedy(rows: Floats, threshold: float, leader: Places, places: Places) -> Places:
    """Let the rows of one block lead each other, in order; return which of them lead."""
    alike = rows @ rows.T
    leads: list[int] = []
    for row in range(len(rows)):
        if leads:
            cosines = alike[row, leads]
            nearest = int(cosines.argmax())
            if cosines[nearest] >= threshold:
                leader[places[row]] = places[leads[nearest]]
                continue
        leads.append(row)
    return np.array(leads, dtype=np.int64)


def _own_cells(vectors: Halves, centres: Floats) -> Places:
    """Return the nearest cell of every vector."""
    own = np.empty(len(vectors), np.int64)
    for block in _blocks(np.arange(len(vectors))):
        own[block] = (vectors[block].astype(np.float32) @ centres.T).argmax(axis=1)
    return own


def _near_cells(rows: Halves, centres: Floats) -> Places:
    """Return the cells in which each row counts as a leader."""
    count = min(_NEAREST_CELLS, len(centres))
    return np.argpartition(-(rows.astype(np.float32) @ centres.T), count - 1, axis=1)[:, :count]


def _centres(vectors: Halves, cells: int) -> Floats:
    """Return the centres of spherical k-means over a sample, drawn by hashes of places: the same on any machine."""
    drawn = np.argsort(mix64(np.arange(len(vectors), dtype=np.uint64)), kind="stable")
    centres = vectors[drawn[:cells]].astype(np.float32)
    sample = np.sort(drawn[: cells * _SAMPLE_PER_CELL])
    for _ in range(_ROUNDS):
        sums = np.zeros_like(centres)
        for block in _blocks(sample):
            rows = vectors[block].astype(np.float32)
            _add_by_label(sums, rows, (rows @ centres.T).argmax(axis=1))
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres).astype(np.float32)
    return centres


def _to_centres(vectors: Halves, label: Places, count: int) -> Floats:
    """Return every vector's cosine to the mean direction of its cluster, a stretch of clusters at a time."""
    similarity = np.ones(len(label), np.float32)
    sizes = np.bincount(label, minlength=count)
    order = np.argsort(label, kind="stable")
    order = order[sizes[label[order]] > 1]  # one alone is its own centre
    for block in _whole_labels(label[order]):
        places = order[block]
        rows = vectors[places].astype(np.float32)
        names, own = np.unique(label[places], return_inverse=True)
        sums = np.zeros((len(names), rows.shape[1]), np.float32)
        _add_by_label(sums, rows, own)
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        similarity[places] = np.einsum("ij,ij->i", rows, centres[own])
    return similarity


def _add_by_label(sums: Floats, rows: Floats, label: Places) -> None:
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    if len(starts):
        sums[label[order][starts]] += np.add.reduceat(rows[order], starts, axis=0)


def _whole_labels(labels: Places) -> Iterator[slice]:
    """Cut sorted labels into stretches of about a block that part no label."""
    start = 0
    while start < len(labels):
        end = min(start + _BLOCK, len(labels))
        end = int(np.searchsorted(labels, labels[end - 1], side="right"))
        yield slice(start, end)
        start = end


def _blocks(places: Places) -> Iterator[Places]:
    for start in range(0, len(places), _BLOCK):
        yield places[start : start + _BLOCK]
