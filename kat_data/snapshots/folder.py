"""Folders that appear whole or not at all: written beside their place, synced, then renamed."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kat_data.errors import SnapshotError

_UNFINISHED = ".kat-unfinished-"
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def exclusive(parent: Path) -> Iterator[None]:
    """Hold `parent` (made where missing) for this process alone; raises `SnapshotError` while another holds it."""
    with plain_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SnapshotError(f"another process is writing in {parent}: wait for it and try again") from error
        yield
    finally:
        os.close(handle)


@contextmanager
def unfinished(parent: Path) -> Iterator[Path]:
    """Give a new folder inside `parent`, hidden from readers, and remove it on leaving unless `publish` renamed it.

    What an earlier process left behind when it was killed is removed first; the caller holds `exclusive(parent)`.
    """
    for left_over in parent.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with plain_errors(parent):
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=parent))
        try:
            folder.chmod(0o755)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write and sync one file, making its folder where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def publish(folder: Path, target: Path) -> None:
    """Rename a finished folder to `target`, which must not exist, so that it survives a power cut."""
    for inner in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        _sync(inner)
    if target.exists():
        raise SnapshotError(f"{target} exists already, and a snapshot is never overwritten: choose another place")
    folder.rename(target)
    _sync(target.parent)


@contextmanager
def plain_errors(place: Path) -> Iterator[None]:
    """Turn the file system's errors into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise SnapshotError(
                f"no space left for {place}: nothing was written; free some space and try again"
            ) from error
        raise SnapshotError(f"cannot write in {place}: {error.strerror or error}") from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
