"""Notes on versions that stand: a version never changes, so what is said of it later stands beside it."""

from datetime import datetime
from pathlib import Path

from kat_data.errors import UserError
from kat_data.snapshots.read import find
from kat_data.snapshots.versions.history import Note, add_event


def add_note(root: Path, label: str, text: str, *, by: str, at: datetime) -> Note:
    """Add a note to the version that `label` names; raises `UserError` on an empty one."""
    if not text.strip():
        raise UserError("the note is empty: say something")
    version = find(root, label)
    note = Note(version=int(version.name), note=text.strip(), by=by, at=at.isoformat(timespec="seconds"))
    add_event(version.parent, lambda _: note)
    return note
