"""What a slot gives its programs, whatever isolates it: users of their own, and the folders that they may fill."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_USERS = range(1 << 20, 1 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder in memory of at most `size` bytes; `files` is how many it may hold."""

    path: str
    size: int
    files: int
    executable: bool


WORK = Folder(path="/tmp", size=128 << 20, files=4096, executable=True)  # noqa: S108
SHARED = Folder(path="/dev/shm", size=16 << 20, files=256, executable=False)  # noqa: S108
FOLDERS = (WORK, SHARED)
"""All that programs can write to; everything in them goes after each program."""


def draw_users() -> list[int]:
    """Return a user for programs and one for testers.

    The kernel counts a user's processes across containers, so each slot draws a pair that no other is likely to have.
    """
    first = random.SystemRandom().choice(_USERS) & ~1
    return [first, first + 1]


def config(
    *, users: list[int] | None, folders: Sequence[str], grouped: bool, files: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return the supervisor's configuration: programs work in the first folder, and every folder is emptied.

    `files` caps the files of folders whose backend cannot.
    """
    return {
        "users": users,
        "folder": folders[0],
        "wiped": list(folders),
        "grouped": grouped,
        "files": dict(files or {}),
    }
