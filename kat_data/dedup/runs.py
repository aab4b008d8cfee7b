"""Sorted runs: band keys with their text ids in order of the keys, in memory or mapped from a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kat_data.dedup.band_store import BUCKET_CAP, Candidates

Ints = NDArray[np.int64]
_SIGN = np.uint64(1 << 63)  # flipped, it makes unsigned order of signed


_PIECE = 1 << 20  # slots of a filter that are marked at once


@dataclass(frozen=True)
class Run:
    """Entries in order of key, then id, none twice: text `ids[i]` stands under `keys[i]`."""

    keys: Ints
    ids: Ints

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def _bits(self) -> int:
        """How many leading bits of a key name its slot in the filter: 8 to 16 slots for each entry."""
        return max(3, (8 * len(self)).bit_length())

    @cached_property
    def _filter(self) -> NDArray[np.uint8]:
        """One bit for each slot that an entry falls into, 1 to 2 bytes an entry; built at the first look-up."""
        size = min(1 << self._bits, _PIECE)
        starts = np.arange(0, 1 << self._bits, size, dtype=np.uint64)
        firsts = (starts << np.uint64(64 - self._bits) ^ _SIGN).view(np.int64)
        cuts = [*np.searchsorted(self.keys, firsts).tolist(), len(self)]
        marks = np.zeros((len(starts), size // 8), np.uint8)
        for piece, (first, last) in enumerate(pairwise(cuts)):
            slots = np.zeros(size, bool)
            slots[self._slots(self.keys[first:last]) - piece * size] = True
            marks[piece] = np.packbits(slots, bitorder="little")
        return marks.ravel()

    def may_hold(self, probes: Ints) -> NDArray[np.bool_]:
        """Return which probes are perhaps among the keys: all that are, and a tenth of the others.

        Most probes are absent, and each search for one touches a dozen far pages; this test touches one near one.
        """
        slots = self._slots(probes)
        return np.asarray(self._filter[slots >> 3] >> (slots & 7).astype(np.uint8) & 1, bool)

    def _slots(self, keys: Ints) -> Ints:
        return ((keys.view(np.uint64) ^ _SIGN) >> np.uint64(64 - self._bits)).astype(np.int64)

    def part(self, start: int, stop: int) -> "Run":
        return Run(self.keys[start:stop], self.ids[start:stop])


def run_of(ids: Ints, keys: Ints) -> Run:
    """Return the run of texts `ids`, which stand under the keys of their row."""
    return sorted_run(keys.ravel(), np.repeat(ids, keys.shape[1]))


def sorted_run(keys: Ints, ids: Ints) -> Run:
    """Return entries in any order as a run."""
    order = np.argsort(keys)
    keys, ids = keys[order], ids[order]
    equal = np.flatnonzero(keys[1:] == keys[:-1])
    if not len(equal):
        return Run(keys, ids)
    # Few keys come twice: only their ids are put in order, in place.
    shared = np.union1d(equal, equal + 1)
    ids[shared] = ids[shared][np.lexsort((ids[shared], keys[shared]))]
    again = equal[ids[equal + 1] == ids[equal]] + 1
    return Run(np.delete(keys, again), np.delete(ids, again)) if len(again) else Run(keys, ids)


def merged(runs: Sequence[Run]) -> Run:
    """Return one run of all entries."""
    return sorted_run(np.concatenate([run.keys for run in runs]), np.concatenate([run.ids for run in runs]))


def merged_parts(runs: Sequence[Run], entries: int) -> Iterator[Run]:
    """Yield the merged run in consecutive parts of about `entries`, so that only one is in memory at a time.

    A part is larger only where more entries than that share one key.
    """
    step = max(1, entries // (4 * len(runs)))
    sample = np.sort(np.concatenate([run.keys[::step] for run in runs]))
    limits = np.unique(sample[:: max(1, entries // (2 * step))])[1:]
    stops = [np.append(np.searchsorted(run.keys, limits), len(run)) for run in runs]
    starts = [0] * len(runs)
    for number in range(len(limits) + 1):
        ends = [int(stop[number]) for stop in stops]
        part = merged([run.part(start, end) for run, start, end in zip(runs, starts, ends, strict=True)])
        if len(part):
            yield part
        starts = ends


def look_up(runs: Sequence[Run], keys: Ints, cap: int = BUCKET_CAP) -> Candidates:
    """Return the texts that stand under the keys of each row, at most `cap` a key: those of the smallest ids."""
    probes = keys.ravel()
    order = np.argsort(probes)
    probes = probes[order]  # in order, neighbours touch the same pages
    found = [_found(run, probes, cap) for run in runs if len(run)]
    hits = np.concatenate([np.zeros(0, np.int64), *(hit for hit, _ in found)])
    ids = np.concatenate([np.zeros(0, np.int64), *(id_ for _, id_ in found)])
    if len(found) > 1:
        hits, ids = _smallest(hits, ids, cap)
    return pairs_once(order[hits] // keys.shape[1], ids)


def twins(run: Run, cap: int = BUCKET_CAP) -> Candidates:
    """Return the pairs within a run: each id with at most `cap` smaller ids that share a key with it."""
    ranks = _ranks(run.keys)
    later = np.flatnonzero(ranks)
    hits, places = _expand(later - ranks[later], np.minimum(ranks[later], cap))
    return pairs_once(run.ids[later[hits]], run.ids[places])


def pairs_once(rows: Ints, ids: Ints) -> Candidates:
    """Return pairs in order, each once; neither number is negative."""
    span = int(ids.max(initial=0)) + 1
    if int(rows.max(initial=0)) < (1 << 63) // span - 1:  # both fit into one number, which sorts five times as fast
        codes = np.sort(rows * span + ids)
        codes = codes[np.append(True, codes[1:] != codes[:-1])] if len(codes) else codes
        rows = codes // span
        return Candidates(rows=rows, ids=codes - rows * span)
    order = np.lexsort((ids, rows))
    rows, ids = rows[order], ids[order]
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (ids[1:] != ids[:-1])
    return Candidates(rows=rows[new], ids=ids[new])


def _found(run: Run, probes: Ints, cap: int) -> tuple[Ints, Ints]:
    """Return (probe, id) for the first `cap` entries of `run` under each probe; the probes are sorted."""
    likely = np.flatnonzero(run.may_hold(probes))
    first = np.searchsorted(run.keys, probes[likely])
    held = run.keys[np.minimum(first, len(run) - 1)] == probes[likely]
    hit, first = likely[held], first[held]
    which, places = _expand(first, np.minimum(np.searchsorted(run.keys, probes[hit], "right") - first, cap))
    return hit[which], run.ids[places]


def _smallest(hits: Ints, ids: Ints, cap: int) -> tuple[Ints, Ints]:
    order = np.lexsort((ids, hits))
    hits, ids = hits[order], ids[order]
    kept = _ranks(hits) < cap
    return hits[kept], ids[kept]


def _ranks(values: Ints) -> Ints:
    """Return how many equal values stand before each value of a sorted array."""
    places = np.arange(len(values))
    new = np.ones(len(values), bool)
    new[1:] = values[1:] != values[:-1]
    return places - np.maximum.accumulate(np.where(new, places, 0))


def _expand(starts: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return for the ranges start, start + 1, … of `counts` numbers each: which range, and the number."""
    which = np.repeat(np.arange(len(counts)), counts)
    firsts = np.cumsum(counts) - counts
    return which, np.arange(len(which)) - firsts[which] + starts[which]
