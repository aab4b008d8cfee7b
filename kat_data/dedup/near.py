"""Near-duplicates as they come: each batch of texts against everything before it and against itself."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kat_data.dedup.band_store import BandStore, Candidates
from kat_data.dedup.bands import band_keys
from kat_data.dedup.jaccard import jaccard
from kat_data.dedup.minhash import signatures
from kat_data.dedup.runs import pairs_once, run_of, twins
from kat_data.dedup.shingle import shingles

THRESHOLD = 0.7
_BATCH = 16_384  # texts put at once: bounds the memory that candidates of crowded bands can take
_PIECE = 512  # texts fingerprinted at once: their arrays stay in the processor's cache

Texts = Callable[[Collection[int]], Mapping[int, str]]
"""Gives the normalised texts of ids that were added before; an id that it leaves out resembles nothing any more."""

Eligible = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""Says which pairs of ids may be duplicates at all, before their words are compared: so templates stay cheap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Verified near-duplicates: `first[i] < second[i]` are text ids, `similarity[i]` their exact Jaccard similarity."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        return zip(self.first.tolist(), self.second.tolist(), self.similarity.tolist(), strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """Band keys of those texts that have shingles: row `i` of `keys` belongs to text `rows[i]` of the batch."""

    rows: NDArray[np.int64]
    keys: NDArray[np.int64]


def fingerprints(texts: Sequence[str]) -> Fingerprints:
    """Return the band keys of `texts`; a text without a token has none."""
    rows, keys = [np.zeros(0, np.int64)], [band_keys(signatures(shingles([])))]
    for start in range(0, len(texts), _PIECE):
        found = shingles(texts[start : start + _PIECE])
        kept = np.flatnonzero(found.counts)
        rows.append(kept + start)
        keys.append(band_keys(signatures(found)[kept]))
    return Fingerprints(rows=np.concatenate(rows), keys=np.concatenate(keys))


class NearDuplicates:
    """Finds the near-duplicates of each text among all texts that were added to the same store.

    Of two batches at once, in whatever processes, the one that enters the store second sees the first: every pair is
    reported to at least one of them. Adding a batch again reports its pairs again, so a batch that was cut short is
    added anew.
    """

    def __init__(
        self, store: BandStore, texts: Texts, *, threshold: float = THRESHOLD, eligible: Eligible | None = None
    ) -> None:
        self._store = store
        self._texts = texts
        self._threshold = threshold
        self._eligible = eligible

    def add(self, ids: Sequence[int], texts: Sequence[str]) -> Pairs:
        """Add texts under their ids and return every verified pair with a text of this batch in it."""
        cuts = [slice(start, start + _BATCH) for start in range(0, len(ids), _BATCH)]
        return _joined([self._add(ids[cut], texts[cut]) for cut in cuts])

    def _add(self, ids: Sequence[int], texts: Sequence[str]) -> Pairs:
        prints = fingerprints(texts)
        own = np.asarray(ids, np.int64)[prints.rows]
        with self._store.exclusive():
            earlier = self._store.candidates(prints.keys)
            self._store.put(own, prints.keys)
        inner = twins(run_of(own, prints.keys))
        one, other = np.concatenate([own[earlier.rows], inner.rows]), np.concatenate([earlier.ids, inner.ids])
        return self._verified(one, other, dict(zip(ids, texts, strict=True)))

    def _verified(self, one: NDArray[np.int64], other: NDArray[np.int64], known: Mapping[int, str]) -> Pairs:
        differ = one != other
        pairs = self._worth_it(pairs_once(np.minimum(one, other)[differ], np.maximum(one, other)[differ]))
        ids = np.unique(np.concatenate([pairs.rows, pairs.ids]))
        texts = self._all_texts(ids.tolist(), known)
        first, second = np.searchsorted(ids, pairs.rows), np.searchsorted(ids, pairs.ids)
        similarity = jaccard(shingles(texts), first, second)
        near = similarity >= self._threshold
        return Pairs(first=pairs.rows[near], second=pairs.ids[near], similarity=similarity[near])

    def _worth_it(self, pairs: Candidates) -> Candidates:
        if self._eligible is None or not len(pairs.rows):
            return pairs
        kept = self._eligible(pairs.rows, pairs.ids)
        return Candidates(rows=pairs.rows[kept], ids=pairs.ids[kept])

    def _all_texts(self, ids: list[int], known: Mapping[int, str]) -> list[str]:
        missing = [id_ for id_ in ids if id_ not in known]
        fetched = self._texts(missing) if missing else {}
        return [known[id_] if id_ in known else fetched.get(id_, "") for id_ in ids]


def _joined(parts: list[Pairs]) -> Pairs:
    empty = Pairs(first=np.zeros(0, np.int64), second=np.zeros(0, np.int64), similarity=np.zeros(0))
    first, second, similarity = (
        np.concatenate([getattr(part, name) for part in (empty, *parts)]) for name in ("first", "second", "similarity")
    )
    return Pairs(first=first, second=second, similarity=similarity)
