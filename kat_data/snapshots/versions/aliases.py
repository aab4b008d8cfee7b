"""Aliases: names of versions that people move, such as `prod`. `latest` is the newest version, and nobody moves it."""

from datetime import datetime
from pathlib import Path

from kat_data.errors import NotFoundError, UserError
from kat_data.snapshots.read import LATEST, NAME, find
from kat_data.snapshots.versions.history import History, Move, add_event, read_history


def check_alias(alias: str) -> None:
    """Raise `UserError` unless `alias` can be one: what it names must be clear wherever a label is read."""
    if alias == LATEST or alias.isdecimal() or not NAME.fullmatch(alias):
        raise UserError(
            f"{alias!r} cannot be an alias: use up to 64 of a-z, 0-9, - and _, a letter or digit first, and neither a "
            f"number nor `{LATEST}`"
        )


def set_alias(root: Path, label: str, alias: str, *, by: str, at: datetime, note: str = "") -> Move | None:
    """Let `alias` stand for the version that `label` names; nothing is written where it does so already.

    Raises `UserError` on a name that no alias can have, `NotFoundError` where there is no such version.
    """
    check_alias(alias)
    folder = find(root, label)
    version = int(folder.name)

    def move(history: History) -> Move | None:
        before = history.aliases.get(alias)
        return None if before == version else _move(alias, before, version, by, at, note)

    return add_event(folder.parent, move)


def remove_alias(root: Path, label: str, alias: str, *, by: str, at: datetime, note: str = "") -> Move:
    """Remove an alias of the snapshot that `label` names; where that names a version, only if the alias stands there.

    Raises `NotFoundError` where there is no such alias.
    """
    folder = find(root, label)
    only = int(folder.name) if "@" in label else None

    def move(history: History) -> Move:
        before = history.aliases.get(alias)
        if before is None or only not in (None, before):
            known = ", ".join(f"{name} ({version})" for name, version in history.aliases.items())
            raise NotFoundError(f"{label} has no alias {alias!r}; {folder.parent.name} has: {known or 'none'}")
        return _move(alias, before, None, by, at, note)

    move(read_history(folder.parent))  # what it refuses leaves no empty history
    return add_event(folder.parent, move)


def _move(alias: str, before: int | None, after: int | None, by: str, at: datetime, note: str) -> Move:
    stamp = at.isoformat(timespec="seconds")
    return Move(alias=alias, from_version=before, to_version=after, by=by, at=stamp, note=note)
