"""Verify a snapshot: every hash, every count and every row, from the files alone.

No more texts are in memory than a batch of rows has; of each row some tens of bytes stay where there are several
splits, which must not share any, and nothing else.
"""

import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, combinations, pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kat_data.domain.licence import allowed
from kat_data.errors import SnapshotError
from kat_data.hashing import file_sha256
from kat_data.snapshots.manifest import CARD, MANIFEST, PLOT, Hashed, Manifest, Shard, shard_path
from kat_data.snapshots.mixture import targets
from kat_data.snapshots.read import Snapshot, open_snapshot
from kat_data.snapshots.record import SCHEMA_VERSION
from kat_data.snapshots.survey.survey import Survey, Surveyor
from kat_data.snapshots.verify.inspection import Inspection, Terms, inspect_shard, prefixes

Observe = Callable[[int, int], None]
_FEW: Final = 50_000
"""Rows that are sooner looked at than processes are started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found: one line for each problem, none where the snapshot is whole."""

    path: Path
    rows: int
    shards: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(path: Path, *, processes: int = 1, observe: Observe = lambda done, total: None) -> Report:
    """Recompute everything that the manifest states; raises `NotFoundError` alone, the rest is in the report.

    Up to so many `processes` look at the shards of a large snapshot at the same time; `observe` is told the rows that
    are done, and how many there are.
    """
    try:
        snapshot = open_snapshot(path)
    except SnapshotError as error:
        return Report(path=path, rows=0, shards=0, problems=(str(error),))
    manifest = snapshot.manifest
    terms = _terms(manifest)
    inspections = list(_inspect(snapshot, terms, processes, observe))
    problems = [
        *_files(snapshot),
        *(problem for inspection in inspections for problem in inspection.problems),
        *_manifest(manifest.hashed),
        *_order(inspections),
        *_shared(inspections),
        *_counts(inspections, manifest, terms),
        *_sizes(snapshot),
    ]
    rows = sum(inspection.rows for inspection in inspections)
    return Report(path=path, rows=rows, shards=len(inspections), problems=tuple(problems))


def _terms(manifest: Manifest) -> Terms:
    hashed = manifest.hashed
    return Terms(
        stage=hashed.stage,
        schema_version=hashed.schema_version,
        seed=hashed.seed,
        targets=hashed.distribution.targets if hashed.distribution and not _unreadable(hashed) else {},
        several=len(manifest.splits) > 1,
    )


def _unreadable(hashed: Hashed) -> str | None:
    """Why the strata that the manifest states cannot be counted."""
    try:
        Surveyor(hashed.distribution.targets if hashed.distribution else {})
    except ValueError as error:
        return str(error)
    return None


def _files(snapshot: Snapshot) -> Iterator[str]:
    unhashed = snapshot.manifest.unhashed
    stated = {CARD: unhashed.card_sha256, PLOT: unhashed.plot_sha256, **unhashed.plots}
    checked = {name: checksum for name, checksum in stated.items() if checksum is not None}
    expected = {MANIFEST, *checked, *(shard.path for shard in snapshot.manifest.hashed.shards)}
    found = ((p.relative_to(snapshot.path).as_posix(), p) for p in snapshot.path.rglob("*"))
    present = {name for name, path in found if name in expected or not path.is_dir()}
    yield from (f"{name} is missing" for name in sorted(expected - present))
    yield from (f"{name} does not belong to the snapshot" for name in sorted(present - expected))
    for name, checksum in checked.items():
        if name in present:
            yield from _changed(snapshot.path / name, name, checksum)


def _sizes(snapshot: Snapshot) -> Iterator[str]:
    for shard in snapshot.manifest.hashed.shards:
        if (size := _size(snapshot.path / shard.path)) not in (None, shard.bytes):
            yield f"{shard.path} has {size} bytes, the manifest says {shard.bytes}"


def _size(path: Path) -> int | None:
    """The file's size, none where there is no file that tells."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _changed(path: Path, name: str, checksum: str) -> Iterator[str]:
    try:
        if file_sha256(path).hex() != checksum:
            yield f"{name} was changed after it was written: its sha256 does not match"
    except OSError as error:
        yield f"{name} cannot be read: {error.strerror or error}"


def _inspect(snapshot: Snapshot, terms: Terms, processes: int, observe: Observe) -> Iterator[Inspection]:
    """Yield the inspections of the shards in their order."""
    shards, total, done = snapshot.manifest.hashed.shards, snapshot.manifest.hashed.rows, 0
    inspect = partial(inspect_shard, snapshot.path, terms=terms)
    with _mapping(min(processes, len(shards), total // _FEW)) as each:
        inspections = iter(each(inspect, shards))
        for shard in shards:
            try:
                yield next(inspections)
            except BrokenProcessPool:
                yield _unseen(shard, terms)
                return
            observe(done := done + shard.rows, total)


def _unseen(shard: Shard, terms: Terms) -> Inspection:
    why = "a process that read them was killed, perhaps for want of memory: verify with fewer processes"
    problem = f"{shard.path} and the shards after it cannot be read: {why}"
    return Inspection(shard=shard, surveyor=Surveyor(terms.targets), problems=[problem])


@contextmanager
def _mapping(processes: int) -> Iterator[Callable[..., Iterable[Inspection]]]:
    """Give a `map` that keeps to the order; processes of its own end with it, and leave Ctrl-C to this one."""
    if processes < 2:
        yield map
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _manifest(hashed: Hashed) -> Iterator[str]:
    if not 1 <= hashed.schema_version <= SCHEMA_VERSION:
        yield f"the schema version is {hashed.schema_version}, this program knows those up to {SCHEMA_VERSION}"
    numbers = Counter[str]()
    for shard in hashed.shards:
        if shard.path != shard_path(shard.split, numbers[shard.split]):
            yield f"{shard.path} does not bear the name of its split {shard.split}, by which readers find it"
        numbers[shard.split] += 1
    if sum(shard.rows for shard in hashed.shards) != hashed.rows:
        yield "the manifest's rows are not the sum of its shards' rows"
    try:
        if why := _unreadable(hashed):
            raise SnapshotError(why)
        if hashed.distribution is not None and hashed.distribution.targets != targets(hashed.recipe, hashed.stage):
            yield "the manifest's strata are not the mixture of its recipe"
    except SnapshotError as error:
        yield f"the manifest's mixture cannot be read: {error}"


def _order(inspections: Sequence[Inspection]) -> Iterator[str]:
    for split, found in _by_split(inspections).items():
        ends = [(one.last, other.first) for one, other in pairwise(i for i in found if i.first is not None)]
        if not all(i.ordered for i in found) or any(last > first for last, first in ends if last and first):
            yield f"the rows of {split} are not in the order that the seed gives"
        if any(i.repeated for i in found) or any(last == first for last, first in ends):
            yield f"two rows of {split} have the same id"


def _shared(inspections: Sequence[Inspection]) -> Iterator[str]:
    splits = _by_split(inspections)
    for what in ("ids", "queries") if len(splits) > 1 else ():
        hashes = {split: _joined(getattr(i, what) for i in found) for split, found in splits.items()}
        for (split, left), (other, right) in combinations(hashes.items(), 2):
            if count := len(np.intersect1d(left, right)):
                yield f"the splits {split} and {other} share {count} {what}"


def _joined(parts: Iterable[list[NDArray[Any]]]) -> NDArray[Any]:
    return np.concatenate([prefixes([]), *chain.from_iterable(parts)])


def _by_split(inspections: Sequence[Inspection]) -> dict[str, list[Inspection]]:
    splits: dict[str, list[Inspection]] = {}
    for inspection in inspections:
        splits.setdefault(inspection.shard.split, []).append(inspection)
    return splits


def _counts(inspections: Sequence[Inspection], manifest: Manifest, terms: Terms) -> Iterator[str]:
    hashed, surveyor = manifest.hashed, Surveyor(terms.targets)
    for inspection in inspections:
        surveyor.merge(inspection.surveyor)
    found = surveyor.survey()
    if found.rows != hashed.rows:
        yield f"{found.rows} rows can be read, the manifest says {hashed.rows}"
        return
    if found.composition != hashed.composition:
        yield "the rows do not add up to the manifest's composition"
    if hashed.transitions is not None and found.transitions != hashed.transitions:
        yield "the rows do not add up to the manifest's transitions between modes"
    if hashed.distribution is not None and found.distribution != hashed.distribution:
        yield "the rows do not add up to the manifest's distribution"
    for label, counted, stated in (
        ("source", found.sources, hashed.sources),
        ("licence", found.licences, hashed.licences),
    ):
        if counted != stated:
            yield f"the rows do not add up to the manifest's count by {label}"
    statistics = manifest.unhashed.statistics
    if statistics is not None and replace(statistics, run=None) != found.statistics:
        yield "the rows do not add up to the manifest's statistics"
    yield from _licences(found, manifest)


def _licences(found: Survey, manifest: Manifest) -> Iterator[str]:
    """Yield licences that the recipe does not allow; where it names none it allows all."""
    if allow := manifest.unhashed.allowed_licences:
        for licence, rows in found.licences.items():
            if not allowed(licence, allow):
                yield f"{rows} rows have the licence {licence}, which the recipe does not allow"
