"""Pull a snapshot by its URL into a folder of snapshots: whole or not at all, and every byte checked."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kat_data.errors import NotFoundError, SnapshotError
from kat_data.snapshots.folder import exclusive, plain_errors, publish, unfinished, write_file
from kat_data.snapshots.manifest import MANIFEST, Manifest, from_bytes
from kat_data.snapshots.places.bucket import Bucket
from kat_data.snapshots.places.parts import Part, parts
from kat_data.snapshots.read import check_name, open_snapshot

_BLOCK = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """Where the snapshot stands now; `existed` says that it was there before, and nothing was fetched."""

    path: Path
    manifest: Manifest
    existed: bool


def pull(source: str, root: Path, *, moved: Callable[[int, int], None] | None = None) -> Pulled:
    """Fetch the snapshot at a URL into `root`/NAME/VERSION.

    `source` is the folder that holds its manifest in a store, or `hf://datasets/ORG/NAME@v3`. Raises `NotFoundError`
    where there is none, `SnapshotError` where a file is not what the manifest says, or another snapshot of that
    version is here.
    """
    place = Bucket.open(source, **_options(source))
    data = place.read(MANIFEST)
    if data is None:
        hint = " that HF_TOKEN may read" if source.startswith("hf://") else ""
        raise NotFoundError(f"{source} holds no snapshot: there is no {MANIFEST}{hint}")
    manifest = _read(data, source)
    target = root / manifest.hashed.name / str(manifest.unhashed.version)
    if target.exists():
        return _existing(target, manifest)
    parent = target.absolute().parent
    with exclusive(parent), unfinished(parent) as folder:
        _fetch(place, parts(manifest), folder, moved)
        with plain_errors(target):
            write_file(folder / MANIFEST, [data])
            publish(folder, target)
    return Pulled(path=target, manifest=manifest, existed=False)


def _options(source: str) -> dict[str, Any]:
    if not source.startswith("hf://"):
        return {}
    from kat_data.snapshots.places.hub import access

    return access()


def _read(data: bytes, source: str) -> Manifest:
    try:
        manifest = from_bytes(data)
        check_name(manifest.hashed.name)
        if manifest.unhashed.version < 1:
            raise SnapshotError(f"{manifest.unhashed.version} is no version")
        parts(manifest)
    except SnapshotError as error:
        raise SnapshotError(f"{source}: {error}") from error
    return manifest


def _existing(target: Path, manifest: Manifest) -> Pulled:
    here = open_snapshot(target)
    if here.manifest.hashed.content_hash != manifest.hashed.content_hash:
        raise SnapshotError(f"{target} is another snapshot of that version: pull into another --root")
    return Pulled(path=target, manifest=here.manifest, existed=True)


def _fetch(place: Bucket, wanted: tuple[Part, ...], folder: Path, moved: Callable[[int, int], None] | None) -> None:
    total = sum(part.size or 0 for part in wanted)
    done = 0
    for part in wanted:
        file = folder / part.name
        with plain_errors(folder):
            file.parent.mkdir(parents=True, exist_ok=True)
        place.fetch(part.name, file)
        if _settled_hash(file) != part.sha256:
            raise SnapshotError(f"{place.url} is damaged: the sha256 of {part.name} is not the manifest's")
        done += part.size or 0
        if moved:
            moved(done, total)


def _settled_hash(file: Path) -> str:
    """Return the sha256 of a file, which is on the disk from then on."""
    import hashlib

    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
        os.fsync(opened.fileno())
    return digest.hexdigest()
