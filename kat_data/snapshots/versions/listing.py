"""The versions of a folder with what people ask of them first, from manifests and histories alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kat_data.errors import NotFoundError, SnapshotError
from kat_data.snapshots.manifest import Manifest
from kat_data.snapshots.read import LATEST, names, open_snapshot, versions
from kat_data.snapshots.versions.history import History, Note, read_history


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version, with its aliases and the notes that came later; no manifest where it is damaged."""

    name: str
    version: int
    aliases: tuple[str, ...]
    notes: tuple[Note, ...]
    manifest: Manifest | None

    @property
    def label(self) -> str:
        """The version as people name it: `name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def note(self) -> str:
        """What was said of it last; what it was built with, where nothing was said later."""
        if self.notes:
            return self.notes[-1].note
        return self.manifest.unhashed.notes if self.manifest else ""


def entries(root: Path, name: str | None = None) -> Iterator[Entry]:
    """Yield every version of every name, or of one; raises `NotFoundError` where that one is not there."""
    found = names(root)
    if name is not None and name not in found:
        raise NotFoundError(f"there is no snapshot {name} in {root}; there are: {', '.join(found) or 'none yet'}")
    for each in found if name is None else [name]:
        yield from _entries(root, each)


def entry(folder: Path) -> Entry:
    """Return what is known of the version in `folder`."""
    return _entry(folder, read_history(folder.parent), versions(folder.parent.parent, folder.parent.name)[-1])


def _entries(root: Path, name: str) -> Iterator[Entry]:
    history = read_history(root / name)
    existing = versions(root, name)
    for version in existing:
        yield _entry(root / name / str(version), history, existing[-1])


def _entry(folder: Path, history: History, newest: int) -> Entry:
    version = int(folder.name)
    return Entry(
        name=folder.parent.name,
        version=version,
        aliases=tuple(alias for alias, at in {LATEST: newest, **history.aliases}.items() if at == version),
        notes=history.notes(version),
        manifest=_manifest(folder),
    )


def _manifest(folder: Path) -> Manifest | None:
    try:
        return open_snapshot(folder).manifest
    except SnapshotError:
        return None
