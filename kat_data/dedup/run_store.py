"""A folder of sorted-run files: the bands of a whole registry for bulk look-ups, derived and always rebuildable.

A run is two files of little-endian 64-bit integers, `NAME.keys` and `NAME.ids`, mapped into memory when they are read.
`manifest.json` names the runs that count and is replaced by a rename; a file that it does not name is what a crash left
behind, and goes at the next entry. So a process that dies anywhere leaves the state before its `put` or the one after.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kat_data.dedup.band_store import BUCKET_CAP, Candidates
from kat_data.dedup.bands import SCHEME
from kat_data.dedup.runs import Run, look_up, merged_parts, run_of
from kat_data.errors import InputError

_FAN = 4
_MEMORY_ENTRIES = 1 << 22  # entries sorted at once: 64 MB, and about four times that while they are sorted
_EMPTY: dict[str, Any] = {"scheme": SCHEME, "next": 0, "runs": []}


class RunStore:
    """A band store in a folder, for one machine: threads and processes share it through a lock on the folder.

    Each `put` appends a run; four runs of one level are merged into one of the next, so that n puts leave at most
    three runs a level. Raises InputError where the folder is damaged or holds keys of another scheme: `rebuild` it.
    """

    def __init__(self, folder: Path, *, cap: int = BUCKET_CAP, memory_entries: int = _MEMORY_ENTRIES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._cap = cap
        self._memory_entries = memory_entries
        self._thread = threading.Lock()
        self._manifest = _EMPTY
        self._open: dict[str, Run] = {}

    @property
    def entries(self) -> int:
        """The entries seen at the last entry into `exclusive()`: 25 for a text."""
        return sum(run["entries"] for run in self._manifest["runs"])

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._locked():
            self._refresh()
            yield

    def candidates(self, keys: NDArray[np.int64]) -> Candidates:
        return look_up(list(self._open.values()), keys, self._cap)

    def put(self, ids: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
        if not len(ids):
            return
        added = self._write([run_of(ids, keys)], level=0)
        self._commit([*self._manifest["runs"], added])
        while crowded := self._crowded():
            self._merge(crowded)

    def rebuild(self, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
        """Replace the content by `batches` of (ids, keys), in one run; the old content stands until the very end.

        Others wait meanwhile. The batches hold all that was put before, or it is lost.
        """
        with self._locked():
            self._manifest = {**_EMPTY, "next": self._next_free()}
            spilt = [self._write([run], level=0) for run in self._sorted_pieces(batches)]
            whole = self._write(self._merged(spilt), level=_level(spilt)) if spilt else None
            self._commit([whole] if whole else [])

    def _sorted_pieces(self, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Iterator[Run]:
        held: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        size = 0
        for ids, keys in batches:
            held.append((ids, keys))
            size += keys.size
            if size >= self._memory_entries:
                yield _one_run(held)
                held, size = [], 0
        if size:
            yield _one_run(held)

    def _crowded(self) -> list[dict[str, Any]]:
        """The runs of the first level that is full."""
        runs = self._manifest["runs"]
        levels = [[run for run in runs if run["level"] == level] for level in sorted({run["level"] for run in runs})]
        return next((level for level in levels if len(level) >= _FAN), [])

    def _merge(self, runs: list[dict[str, Any]]) -> None:
        one = self._write(self._merged(runs), level=_level(runs))
        self._commit([*(run for run in self._manifest["runs"] if run not in runs), one])

    def _merged(self, runs: list[dict[str, Any]]) -> Iterator[Run]:
        return merged_parts([self._map(run) for run in runs], self._memory_entries)

    def _write(self, parts: Iterable[Run], *, level: int) -> dict[str, Any]:
        name = f"{self._manifest['next']:08d}"
        self._manifest = {**self._manifest, "next": self._manifest["next"] + 1}
        entries = 0
        with (self._folder / f"{name}.keys").open("wb") as keys, (self._folder / f"{name}.ids").open("wb") as ids:
            for part in parts:
                keys.write(np.ascontiguousarray(part.keys, "<i8").data)
                ids.write(np.ascontiguousarray(part.ids, "<i8").data)
                entries += len(part)
            for file in (keys, ids):
                file.flush()
                os.fsync(file.fileno())
        return {"name": name, "level": level, "entries": entries}

    def _commit(self, runs: list[dict[str, Any]]) -> None:
        """Make `runs` the content: from the rename on they count, and the others do not."""
        self._manifest = {**self._manifest, "runs": runs}
        new = self._folder / "manifest.new"
        with new.open("w", encoding="utf-8") as file:
            json.dump(self._manifest, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        _sync(self._folder)
        self._use_manifest()

    def _refresh(self) -> None:
        """Take up what other processes committed."""
        self._manifest = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else _EMPTY
        if self._manifest["scheme"] != SCHEME:
            raise InputError(
                f"{self._folder} holds the bands of another scheme ({self._manifest['scheme']}): rebuild it"
            )
        self._use_manifest()

    def _use_manifest(self) -> None:
        self._open = {run["name"]: self._open.get(run["name"]) or self._map(run) for run in self._manifest["runs"]}
        for pattern in ("*.keys", "*.ids"):
            for path in self._folder.glob(pattern):
                if path.stem not in self._open:
                    path.unlink()

    def _map(self, run: dict[str, Any]) -> Run:
        keys, ids = (self._folder / f"{run['name']}.{kind}" for kind in ("keys", "ids"))
        if not all(path.exists() and path.stat().st_size == 8 * run["entries"] for path in (keys, ids)):
            raise InputError(f"{self._folder} is damaged (run {run['name']}): rebuild it")
        return Run(_mapped(keys), _mapped(ids))

    def _next_free(self) -> int:
        return max((int(path.stem) + 1 for path in self._folder.glob("*.keys")), default=0)

    @property
    def _path(self) -> Path:
        return self._folder / "manifest.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread, (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _one_run(batches: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Run:
    ids, keys = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return run_of(ids, keys)


def _level(runs: list[dict[str, Any]]) -> int:
    return 1 + max(int(run["level"]) for run in runs)


def _mapped(path: Path) -> NDArray[np.int64]:
    """Map a file of integers; the plain array view spares numpy's subclass checks in each operation."""
    return np.asarray(np.memmap(path, np.dtype("<i8"), "r"))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
