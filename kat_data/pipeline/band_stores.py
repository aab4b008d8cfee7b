"""Band stores over the registry: Postgres alone, or Postgres with a file of sorted runs that answers in its place.

Postgres holds every band and is the truth. A look-up of one text there costs 25 descents of a large index; sorted runs
in a local folder answer ten times as fast, and cost reading from Postgres what they lack. So the folder is used where
no less is to be compared than it lacks, and is made anew where it is damaged or runs ahead of the registry.

Both work inside a transaction that holds `clusters.lock`, and put a query's bands in the same transaction that notes
it as compared. Where that transaction is lost, the folder is ahead by its bands: they are put again, which changes
nothing, unless the folder's own mark is ahead, too; then it is made anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from kat_data.dedup.band_store import BUCKET_CAP, Candidates
from kat_data.dedup.run_store import RunStore
from kat_data.dedup.runs import pairs_once, run_of
from kat_data.errors import InputError
from kat_data.registry import bands

Ints = NDArray[np.int64]

_FOUND = np.dtype([("row", ">i4"), ("id", ">i8")])


class RegistryBands:
    """The bands in Postgres, inside a transaction of the caller that holds the lock."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        yield  # the caller's lock lasts until its transaction ends, as it has to

    def candidates(self, keys: Ints) -> Candidates:
        flat = keys.ravel()
        order = np.argsort(flat)
        probes = _tuples((order // max(1, keys.shape[1])).astype(np.int32), flat[order])
        found = np.frombuffer(bands.candidates(self._connection, probes, BUCKET_CAP), _FOUND)
        return pairs_once(found["row"].astype(np.int64), found["id"].astype(np.int64))

    def put(self, ids: Ints, keys: Ints) -> None:
        run = run_of(ids, keys)
        bands.put(self._connection, _tuples(run.keys, run.ids))


class MirroredBands(RegistryBands):
    """The bands in Postgres, with a folder that holds the same and answers look-ups.

    `through` says up to which query the folder holds all.
    """

    def __init__(self, connection: "psycopg.Connection[Any]", folder: Path) -> None:
        super().__init__(connection)
        self.folder = folder
        self._runs = RunStore(folder)
        self._mark = folder / "through"

    @property
    def through(self) -> int:
        return int(self._mark.read_text()) if self._mark.exists() else 0

    def candidates(self, keys: Ints) -> Candidates:
        with self._runs.exclusive():
            return self._runs.candidates(keys)

    def put(self, ids: Ints, keys: Ints) -> None:
        super().put(ids, keys)
        with self._runs.exclusive():
            self._runs.put(ids, keys)

    def note(self, through: int) -> None:
        """Store that the folder holds every query up to this id; before the lock goes to others, who rely on it."""
        new = self._mark.with_suffix(".new")
        new.write_text(str(through))
        new.replace(self._mark)

    def catch_up(self, checked: int) -> None:
        """Take from Postgres what the folder lacks of the queries up to `checked`."""
        through = self._sound_through()
        if through == checked:
            return
        if 0 < through < checked:
            self._extend(through)
        else:
            self._runs.rebuild(_stored(self._connection, 0))
        self.note(checked)

    def _sound_through(self) -> int:
        """Return `through`, or -1 where the folder is damaged."""
        try:
            with self._runs.exclusive():
                return self.through
        except (InputError, ValueError, LookupError):  # a run, the mark or the manifest cannot be read
            return -1

    def _extend(self, through: int) -> None:
        with self._runs.exclusive():
            for ids, keys in _stored(self._connection, through):
                self._runs.put(ids, keys)


def folder_of(home: Path, key: str) -> Path:
    """Return the folder for the bands of that key, which is one database's under one scheme."""
    return home / "bands" / key


def lacking(home: Path, key: str, checked: int) -> int:
    """Return how many queries at most the folder lacks of those up to `checked`."""
    mark = folder_of(home, key) / "through"
    text = mark.read_text() if mark.exists() else ""
    through = int(text) if text.isdecimal() else 0
    return checked - through if through <= checked else checked


def _tuples(first: NDArray[Any], second: NDArray[Any]) -> bytes:
    """Return rows of two integers in COPY's binary form: big-endian, each behind its length, each row behind a 2."""
    kinds = [(f">i{column.dtype.itemsize}", column) for column in (first, second)]
    fields = [("fields", ">i2")]
    for place, (kind, _) in enumerate(kinds):
        fields += [(f"length{place}", ">i4"), (f"value{place}", kind)]
    rows = np.empty(len(first), np.dtype(fields))
    rows["fields"] = 2
    for place, (_, column) in enumerate(kinds):
        rows[f"length{place}"] = column.dtype.itemsize
        rows[f"value{place}"] = column
    return rows.tobytes()


def _stored(connection: "psycopg.Connection[Any]", after: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield (ids, keys) of what Postgres holds of the queries above `after`, one key a row."""
    for block in bands.stored(connection, after):
        entries = np.frombuffer(block, ">i8").reshape(-1, 2).astype(np.int64)
        yield entries[:, 0], entries[:, 1:]
