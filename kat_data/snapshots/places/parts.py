"""The files of a snapshot as they are copied elsewhere; the manifest, by which readers know it, goes last."""

import re
from dataclasses import dataclass

from kat_data.errors import SnapshotError
from kat_data.snapshots.manifest import CARD, PLOT, Manifest

_SHARD = re.compile(r"data/[a-z0-9][a-z0-9_-]*-[0-9]{5,}\.parquet")
_PLOT = re.compile(r"[a-z0-9][a-z0-9_-]*\.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file: its name in the folder, its sha256 in hex, and its size where the manifest states it."""

    name: str
    sha256: str
    size: int | None = None


def parts(manifest: Manifest) -> tuple[Part, ...]:
    """Return every file but the manifest; raises `SnapshotError` where a name would lead out of the folder."""
    found = [Part(name=shard.path, sha256=shard.sha256, size=shard.bytes) for shard in manifest.hashed.shards]
    if wrong := next((part.name for part in found if not _SHARD.fullmatch(part.name)), None):
        raise SnapshotError(f"the manifest names a shard {wrong!r}: no snapshot of ours has such a file")
    unhashed = manifest.unhashed
    told = {CARD: unhashed.card_sha256, PLOT: unhashed.plot_sha256, **unhashed.plots}
    if wrong := next((name for name in unhashed.plots if not _PLOT.fullmatch(name)), None):
        raise SnapshotError(f"the manifest names a plot {wrong!r}: no snapshot of ours has such a file")
    return (*found, *(Part(name=name, sha256=checksum) for name, checksum in told.items() if checksum))
