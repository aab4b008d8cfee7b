"""Read snapshots: open a folder, walk its rows, and find names and versions below a root."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kat_data.errors import NotFoundError, SnapshotError
from kat_data.hashing import sha256
from kat_data.snapshots.distribution import Distribution
from kat_data.snapshots.manifest import MANIFEST, Manifest, Parent, Shard, from_bytes
from kat_data.snapshots.mixture import targets
from kat_data.snapshots.record import Record
from kat_data.snapshots.survey.survey import survey
from kat_data.snapshots.versions.history import read_history

if TYPE_CHECKING:
    import pyarrow as pa

LATEST: Final = "latest"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LABEL = re.compile(r"(?P<name>[^@]+)(?:@(?P<which>[^@]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An opened snapshot: its folder and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def reference(self) -> Parent:
        """How a snapshot that follows this one names it."""
        return Parent(label=self.manifest.label, content_hash=self.manifest.hashed.content_hash)

    def rows(self, split: str | None = None) -> Iterator[Record]:
        """Yield the records of one split, or of all, as stored; raises `SnapshotError` on a changed shard."""
        for shard in self.manifest.hashed.shards:
            if split in (None, shard.split):
                yield from parquet_rows(self.shard_bytes(shard), shard.path)

    def schema(self) -> "pa.Schema":
        """Return the columns of the shards."""
        import pyarrow.parquet as pq

        return pq.read_schema(self.path / self.manifest.hashed.shards[0].path)

    def distribution(self) -> Distribution:
        """Return how the rows are spread; where the manifest does not state it, they are counted, unchecked.

        Of such an old manifest the strata stand in the order of their names: its recipe has no other.
        """
        hashed = self.manifest.hashed
        if hashed.distribution is not None:
            return hashed.distribution
        paths = (self.path / shard.path for shard in hashed.shards)
        return survey(paths, hashed.stage, targets(hashed.recipe, hashed.stage)).distribution

    def shard_bytes(self, shard: Shard) -> bytes:
        """Return a shard's bytes once they match the manifest's sha256; raises `SnapshotError` where they do not."""
        try:
            data = (self.path / shard.path).read_bytes()
        except OSError as error:
            raise SnapshotError(f"{shard.path} cannot be read: {error.strerror}") from error
        if sha256(data).hex() != shard.sha256:
            raise SnapshotError(f"{shard.path} was changed after it was written: its sha256 does not match")
        return data


def open_snapshot(path: Path) -> Snapshot:
    """Open a snapshot's folder; raises `NotFoundError`, or `SnapshotError` where its manifest was changed."""
    try:
        data = (path / MANIFEST).read_bytes()
    except OSError as error:
        raise NotFoundError(f"{path} holds no snapshot: there is no {MANIFEST} that can be read") from error
    try:
        return Snapshot(path=path, manifest=from_bytes(data))
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from error


def names(root: Path) -> list[str]:
    """Return the names of the snapshots below `root` that have a version, sorted."""
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if NAME.fullmatch(p.name) and versions(root, p.name))


def versions(root: Path, name: str) -> list[int]:
    """Return the versions of one snapshot in ascending order; what is unfinished is not among them."""
    parent = root / name
    if not parent.is_dir():
        return []
    return sorted(int(p.name) for p in parent.iterdir() if p.name.isdecimal() and (p / MANIFEST).is_file())


def find(root: Path, label: str) -> Path:
    """Return the folder of `name`, `name@latest`, `name@2` or `name@alias`; raises `NotFoundError`, which names all."""
    match = _LABEL.fullmatch(label)
    name, which = (match["name"], match["which"] or LATEST) if match else (label, LATEST)
    existing = versions(root, name) if NAME.fullmatch(name) else []
    if existing and which == LATEST:
        return root / name / str(existing[-1])
    if which in map(str, existing):
        return root / name / which
    version = read_history(root / name).aliases.get(which) if existing else None
    if version in existing:
        return root / name / str(version)
    if version is not None:
        raise NotFoundError(f"{label} stands for {name}@{version}, which is gone: let it stand for another version")
    raise NotFoundError(f"there is no snapshot {label} in {root}; there are: {', '.join(_labels(root)) or 'none yet'}")


def _labels(root: Path) -> Iterator[str]:
    for name in names(root):
        yield from (f"{name}@{version}" for version in versions(root, name))
        yield from (f"{name}@{alias}" for alias in read_history(root / name).aliases)


def check_name(name: str) -> None:
    """Raise `SnapshotError` unless `name` can name a snapshot."""
    if not NAME.fullmatch(name):
        raise SnapshotError(f"{name!r} cannot be a name: use up to 64 of a-z, 0-9, - and _, a letter or digit first")


def parquet_rows(data: bytes, path: str) -> Iterator[Record]:
    """Yield the records of one shard, batch by batch; raises `SnapshotError` where it is no Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(batch_size=1_000):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise SnapshotError(f"{path} cannot be read as Parquet: {error}") from error
