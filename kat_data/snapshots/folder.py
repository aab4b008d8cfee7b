"""Folders that appear whole or not at all: written beside their place, synced, then renamed."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kat_data.errors import SnapshotBusy, SnapshotError

_UNFINISHED = ".kat-unfinished-"
_BUILD = ".kat-build"  # no `_UNFINISHED`: whoever else writes in the folder leaves it to the next build
_MISSING = 100  # times in a row that a folder can be gone because others remove it
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def exclusive(parent: Path) -> Iterator[None]:
    """Hold `parent` (made where missing) for this process alone; raises `SnapshotBusy` while another holds it.

    A folder that was made for this, and in which nothing was left, is removed on leaving.
    """
    with plain_errors(parent):
        handle, made = _hold(parent)
    try:
        yield
    finally:
        if made:
            with suppress(OSError):  # it is not empty, and stays
                parent.rmdir()
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


@contextmanager
def resumable(parent: Path, worth_keeping: str) -> Iterator[Path]:
    """Give a folder inside `parent`, hidden from readers, with what an earlier block that was cut short left in it.

    On leaving it is removed unless `publish` renamed it. Where an error ends the block, it stays for the next one if
    the pattern `worth_keeping` finds a file in it, and the disk is not full. The caller holds `exclusive(parent)`.
    """
    folder = parent / _BUILD
    with plain_errors(parent):
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
            yield folder
        except BaseException as error:
            if (isinstance(error, OSError) and error.errno in _FULL) or not any(folder.glob(worth_keeping)):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def synced(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, making its folder where missing; on leaving, what was written is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write and sync one file, making its folder where missing."""
    with synced(path) as file:
        file.writelines(parts)


def publish(folder: Path, target: Path) -> None:
    """Rename a finished folder to `target`, which must not exist, so that it survives a power cut."""
    for inner in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        sync(inner)
    if target.exists():
        raise SnapshotError(f"{target} exists already, and a snapshot is never overwritten: choose another place")
    folder.rename(target)
    sync(target.parent)


def sync(folder: Path) -> None:
    """Make sure that what the folder lists survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def _hold(parent: Path) -> tuple[int, bool]:
    """Return a handle that locks the folder, and whether the folder was made for it."""
    missing = 0
    while True:
        try:
            made = _make(parent)
            handle = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another process left, and removed the folder; or none can be made here
            missing += 1
            if parent.is_symlink() or missing == _MISSING:
                raise
            continue
        if _locked(handle, parent):
            return handle, made


def _make(folder: Path) -> bool:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _locked(handle: int, parent: Path) -> bool:
    """Lock the handle; where the folder is no longer the one that was opened, close it and return false."""
    with ExitStack() as unless_locked:
        unless_locked.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SnapshotBusy(f"another process is writing in {parent}: wait for it and try again") from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), parent.stat()):
                unless_locked.pop_all()
                return True
    return False
