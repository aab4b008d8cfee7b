"""Push a snapshot to where others read it: verified before, whole or not visible, and checked when it is there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kat_data.errors import SnapshotError, UserError
from kat_data.hashing import sha256
from kat_data.snapshots.manifest import MANIFEST, Manifest, from_bytes
from kat_data.snapshots.places.bucket import Bucket
from kat_data.snapshots.places.parts import Part, parts
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.verify.verify import Report, verify

Moved = Callable[[int, int], None]
"""Told how many of how many bytes are there."""

HUB = "hf://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """Where a snapshot lies now; `uploaded` are the files that had to be sent, none where all of it was there."""

    url: str
    label: str
    content_hash: str
    files: int
    bytes: int
    uploaded: tuple[str, ...] = ()


def push(
    snapshot: Snapshot,
    target: str,
    *,
    private: bool = False,
    check: Callable[[Path], Report] = verify,
    moved: Moved | None = None,
) -> Pushed:
    """Copy a snapshot to a dataset of the Hub (`hf://datasets/ORG/NAME`), or below a folder of a store.

    In a store it comes to TARGET/NAME/VERSION, with the manifest as the last file; on the Hub it is one commit with
    the tag vVERSION. `check` verifies it first; what is there already is not sent again. Raises `SnapshotError` where
    the snapshot is damaged, the place holds another of that version, or the place failed; then nothing half done can
    be seen, and the next push goes on.
    """
    report = check(snapshot.path)
    if not report.ok:
        raise SnapshotError(
            f"{snapshot.path} is damaged and is not pushed: `kat snapshots verify` lists what is wrong "
            f"({len(report.problems)} problems)"
        )
    if target.startswith(HUB):
        from kat_data.snapshots.places.hub import push_to_hub

        return push_to_hub(snapshot, target, private=private, moved=moved)
    if private:
        raise UserError("--private is for the Hub alone: who may read a folder of a store is set there")
    return _push_to_store(snapshot, Bucket.open(target), moved)


def check_same(snapshot: Snapshot, theirs: Manifest, url: str) -> None:
    """Raise `SnapshotError` where a place holds another snapshot: versions never change."""
    mine = snapshot.manifest
    if theirs.hashed.name != mine.hashed.name:
        raise SnapshotError(f"{url} is of {theirs.hashed.name}: push {mine.hashed.name} to a place of its own")
    if theirs.hashed.content_hash != mine.hashed.content_hash:
        raise SnapshotError(
            f"{url} holds another {theirs.label}, with the content hash "
            f"{theirs.hashed.content_hash[:12]}: versions never change, so push to another place"
        )


def pushed(snapshot: Snapshot, url: str, uploaded: list[str]) -> Pushed:
    """Return what is told of a push."""
    manifest = snapshot.manifest
    listed = [*parts(manifest), seal_of(snapshot)]
    sizes = [(snapshot.path / part.name).stat().st_size for part in listed]
    return Pushed(
        url=url,
        label=manifest.label,
        content_hash=manifest.hashed.content_hash,
        files=len(listed),
        bytes=sum(sizes),
        uploaded=tuple(uploaded),
    )


def seal_of(snapshot: Snapshot) -> Part:
    """Return the manifest's own file."""
    data = (snapshot.path / MANIFEST).read_bytes()
    return Part(name=MANIFEST, sha256=sha256(data).hex(), size=len(data))


class Tally:
    """Counts the bytes that are there, for those who watch."""

    def __init__(self, snapshot: Snapshot, moved: Moved | None) -> None:
        self._folder = snapshot.path
        self._moved = moved
        self._done = 0
        self._total = sum((self._folder / part.name).stat().st_size for part in parts(snapshot.manifest))

    def add(self, part: Part) -> None:
        self._done += (self._folder / part.name).stat().st_size
        if self._moved:
            self._moved(self._done, self._total)


def _push_to_store(snapshot: Snapshot, root: Bucket, moved: Moved | None) -> Pushed:
    manifest = snapshot.manifest
    place = root.at(manifest.hashed.name, manifest.unhashed.version)
    if (theirs := _theirs(place)) is not None:
        check_same(snapshot, theirs, place.url)
        if not place.wanting(parts(theirs), snapshot.path):
            return pushed(snapshot, place.url, [])
    missing = place.wanting(parts(manifest), snapshot.path)
    tally = Tally(snapshot, moved)
    for part in parts(manifest):
        if part in missing:
            place.put(snapshot.path / part.name, part.name)
        tally.add(part)
    # Checked before the manifest says that it is there: a store that lost a byte never shows it.
    if wrong := place.wanting(missing, snapshot.path):
        raise SnapshotError(f"{place.url} did not keep {wrong[0].name} as it was sent: push again")
    seal = seal_of(snapshot)
    place.put(snapshot.path / MANIFEST, MANIFEST)
    if place.wanting([seal], snapshot.path):
        raise SnapshotError(f"{place.url} did not keep {MANIFEST} as it was sent: push again")
    return pushed(snapshot, place.url, [*(part.name for part in missing), MANIFEST])


def _theirs(place: Bucket) -> Manifest | None:
    """Return the manifest that is there; one that cannot be read is as good as none, and is replaced."""
    data = place.read(MANIFEST)
    try:
        return from_bytes(data) if data is not None else None
    except SnapshotError:
        return None
