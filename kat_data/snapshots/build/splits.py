"""Splits: validation and test rows beside those to train on, and nothing that belongs together on two sides.

Rows that share a query, a cluster of duplicates or a document form a group, which goes to one split as a whole. Every
split is to have its share of each stratum. Groups of several rows are dealt out first, in the seed's order, while they
fit into what a split lacks; single rows then fill every stratum to the row. Where there are too few single rows, larger
groups are tried again, then rows of other strata: the size of a split counts for more than its spread.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kat_data.errors import SnapshotError

Ints: TypeAlias = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divisible:
    """Rows to divide, in an order of their content: identity keys, places in the seed's order, strata, and links.

    `strata` are numbers in the order of the strata's names. `links` are keys of what must not be parted, an array for
    each kind; a key below 0 links nothing.
    """

    samples: Ints
    places: NDArray[np.uint64]
    strata: Ints
    links: Sequence[Ints]

    @classmethod
    def from_batches(cls, batches: Iterable[pa.RecordBatch], rows: int, links: Sequence[str]) -> "Divisible":
        """Read the columns `sample`, `place` (64 bits), `stratum` (names) and the links (keys; null links nothing)."""
        numbers = {name: np.empty(rows, np.int64) for name in ("sample", "place", *links)}
        strata, names = np.empty(rows, np.int32), dict[str, int]()
        done = 0
        for batch in batches:
            part = slice(done, done := done + batch.num_rows)
            for name, column in numbers.items():
                column[part] = pc.fill_null(batch.column(name), -1).to_numpy(zero_copy_only=False)
            coded = pc.dictionary_encode(batch.column("stratum"))
            known = [names.setdefault(name, len(names)) for name in coded.dictionary.to_pylist()]
            strata[part] = np.array(known, np.int32)[coded.indices.to_numpy()]
        ranks = np.empty(len(names), np.int32)
        ranks[[names[name] for name in sorted(names)]] = np.arange(len(names))
        return cls(
            samples=numbers["sample"],
            places=numbers["place"].view(np.uint64),
            strata=ranks[strata],
            links=[numbers[name] for name in links],
        )


def divide(rows: Divisible, asked: Mapping[str, float]) -> dict[str, Ints]:
    """Return the rows (by their index) of every split that is asked for; raises `SnapshotError` where one stays empty.

    The same rows are divided in the same way, on any machine.
    """
    deal = _Deal(rows, asked)
    deal.groups(bounded=True)
    deal.single_rows()
    deal.groups(bounded=False)
    deal.fill_up()
    return deal.result()


def components(links: Iterable[Ints], rows: int) -> Ints:
    """Return for each row the first of all that it is linked with over any number of steps, or the row itself."""
    first = np.arange(rows, dtype=np.int32)
    coded = [_shared(keys) for keys in links]
    while True:
        before = first.copy()
        for linked, codes in coded:
            least = np.full(codes.max(initial=-1) + 1, rows, np.int32)
            np.minimum.at(least, codes, first[linked])
            first[linked] = least[codes]
            first = first[first]
        if np.array_equal(first, before):
            return first


def _shared(keys: Ints) -> tuple[Ints, Ints]:
    """Return the rows whose key others have, too, and a number for the key of each."""
    linked = np.flatnonzero(keys >= 0).astype(np.int32)
    codes, counts = np.unique(keys[linked], return_inverse=True, return_counts=True)[1:]
    several = counts[codes] > 1
    return linked[several], codes[several].astype(np.int32)


def quotas(wanted: int, available: Ints) -> Ints:
    """Apportion `wanted` rows over strata by how many rows are available of each, largest remainders first."""
    exact = wanted * available / max(int(available.sum()), 1)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    largest = np.argsort(whole - exact, kind="stable")
    whole[largest[: wanted - int(whole.sum())]] += 1
    return whole


class _Deal:
    """Rows on their way into splits; `lacks` has a line for each split with what it lacks of each stratum."""

    def __init__(self, rows: Divisible, asked: Mapping[str, float]) -> None:
        total = len(rows.places)
        counts = [_count(amount, total) for _, amount in sorted(asked.items())]
        if sum(counts) >= total:
            raise SnapshotError(f"the splits ask for {sum(counts)} rows of {total}, and leave none to train on")
        self._names = sorted(asked)
        self._places, self._strata = rows.places, rows.strata
        self._split = np.full(total, -1, np.int8)
        self._lacks = _share_out(counts, np.bincount(rows.strata))
        first = components(rows.links, total)
        self._single = np.bincount(first, minlength=total)[first] == 1
        members = np.flatnonzero(~self._single)
        self._members = members[np.lexsort((members, first[members], self._places[first[members]]))]
        self._starts = np.append(np.flatnonzero(np.diff(first[self._members], prepend=-1)), len(members))
        self._waiting = np.arange(len(self._starts) - 1)
        self._bounds = [count * len(members) // total for count in counts]

    def groups(self, *, bounded: bool) -> None:
        """Deal out groups that fit into every stratum of a split; where bounded, up to what is its share of them."""
        smallest = np.diff(self._starts).min(initial=len(self._split))
        for group in self._waiting:
            rooms = self._bounds if bounded else self._lacks.sum(axis=1)
            if max(rooms) < smallest:
                break
            rows = self._rows(group)
            needs = self._needs(rows)
            for split, room in enumerate(rooms):
                if len(rows) <= room and (needs <= self._lacks[split]).all():
                    self._put(rows, split)
                    break
        self._forget_dealt()

    def single_rows(self) -> None:
        """Fill each stratum of each split with rows that belong to no other."""
        alone = np.flatnonzero(self._single)
        alone = alone[np.lexsort((alone, self._places[alone], self._strata[alone]))]
        starts = np.searchsorted(self._strata[alone], np.arange(self._lacks.shape[1] + 1))
        for stratum, (start, end) in enumerate(pairwise(starts)):
            for split in range(len(self._names)):
                rows = alone[start : min(start + self._lacks[split, stratum], end)]
                self._put(rows, split)
                start += len(rows)

    def fill_up(self) -> None:
        """Fill what a split still lacks, whatever its strata: with groups, single rows, and the smallest group."""
        for split, lacks in enumerate(self._lacks):
            sizes = np.diff(self._starts)
            for group in self._waiting[sizes[self._waiting] <= lacks.sum()]:
                if sizes[group] <= lacks.sum():
                    self._put(self._rows(group), split)
            self._forget_dealt()
            alone = np.flatnonzero(self._single & (self._split < 0))
            self._put(alone[np.argsort(self._places[alone], kind="stable")][: lacks.sum()], split)
            if len(self._waiting):
                smallest = self._waiting[sizes[self._waiting].argmin()]
                if sizes[smallest] < 2 * lacks.sum():  # with it, the split is nearer to what was asked for
                    self._put(self._rows(smallest), split)
                    self._forget_dealt()

    def result(self) -> dict[str, Ints]:
        """Return the rows of each split."""
        found: dict[str, Ints] = {name: np.flatnonzero(self._split == split) for split, name in enumerate(self._names)}
        for name, rows in found.items():
            if not len(rows):
                raise SnapshotError(
                    f"the split {name} stays empty: what belongs together has more rows than it asks for; ask for more"
                )
        if self._split.min() >= 0:
            raise SnapshotError("the splits take every row, as all belong together: there is none to train on")
        return found

    def _rows(self, group: np.int64) -> Ints:
        return self._members[self._starts[group] : self._starts[group + 1]]

    def _needs(self, rows: Ints) -> Ints:
        return np.bincount(self._strata[rows], minlength=self._lacks.shape[1])

    def _put(self, rows: Ints, split: int) -> None:
        self._split[rows] = split
        self._lacks[split] -= self._needs(rows)
        self._bounds[split] -= len(rows)

    def _forget_dealt(self) -> None:
        self._waiting = self._waiting[self._split[self._members[self._starts[self._waiting]]] < 0]


def _count(amount: float, total: int) -> int:
    return max(round(amount * total), 1) if isinstance(amount, float) else amount


def _share_out(counts: Sequence[int], available: Ints) -> Ints:
    lacks = np.zeros((len(counts), len(available)), np.int64)
    for split, count in enumerate(counts):
        lacks[split] = quotas(count, available - lacks.sum(axis=0))
    return lacks
