"""What is said of versions after they were built: moves of aliases, and notes. It stands beside them, never inside.

`<name>/history.jsonl` has a JSON object a line, and lines are only ever added. A line counts once its line break is
there: what a killed process left of one, readers pass over and the next writer cuts off. The file has a lock of its
own, held for one line alone, so that an alias can be moved while a build holds the folder.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import orjson

from kat_data.domain.codec import from_python, to_json
from kat_data.errors import SnapshotError
from kat_data.snapshots.folder import plain_errors, sync

HISTORY: Final = "history.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An alias went from one version to another; from none where it is new, to none where it was removed."""

    alias: str
    from_version: int | None
    to_version: int | None
    by: str
    at: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Somebody had something to say of a version after it was built."""

    version: int
    note: str
    by: str
    at: str


Event = Move | Note
E = TypeVar("E", Move, Note, Move | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All events of one name, in their order."""

    events: tuple[Event, ...] = ()

    @property
    def aliases(self) -> dict[str, int]:
        """The version that each alias stands at, by the aliases' names in order."""
        last = {event.alias: event.to_version for event in self.events if isinstance(event, Move)}
        return {alias: version for alias, version in sorted(last.items()) if version is not None}

    def notes(self, version: int) -> tuple[Note, ...]:
        """Return the notes on one version, the oldest first."""
        return tuple(event for event in self.events if isinstance(event, Note) and event.version == version)


def read_history(parent: Path) -> History:
    """Read the history of the name whose folder is `parent`; raises `SnapshotError` where a line is none of ours."""
    try:
        data = (parent / HISTORY).read_bytes()
    except FileNotFoundError:
        return History()
    except OSError as error:
        raise SnapshotError(f"{parent / HISTORY} cannot be read: {error.strerror}") from error
    return _parse(data, parent)


def add_event(parent: Path, make: Callable[[History], E]) -> E:
    """Add what `make` says in view of all that came before, or nothing where that is none; others wait meanwhile."""
    with _locked(parent) as file:
        data = file.read()
        event = make(_parse(data, parent))
        if event is not None:
            file.truncate(_whole(data))
            file.write(to_json(event) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            sync(parent)
    return event


@contextmanager
def _locked(parent: Path) -> Iterator[BinaryIO]:
    with plain_errors(parent), (parent / HISTORY).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def _whole(data: bytes) -> int:
    """Return how many bytes whole lines take."""
    return data.rfind(b"\n") + 1


def _parse(data: bytes, parent: Path) -> History:
    lines = data[: _whole(data)].splitlines()
    return History(events=tuple(_event(line, parent, number) for number, line in enumerate(lines, 1)))


def _event(line: bytes, parent: Path, number: int) -> Event:
    try:
        plain = orjson.loads(line)
        return from_python(Move, plain) if "alias" in plain else from_python(Note, plain)
    except (TypeError, ValueError) as error:
        raise SnapshotError(f"line {number} of {parent / HISTORY} was changed and cannot be read: mend it") from error
