"""A folder that is there whole or not at all; what a killed process has written into it is taken up again."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kat_data.errors import ConfigError

_IDENTITY: Final = ".identity"


def refuse_existing(target: Path) -> None:
    """Raise `ConfigError` where anything is at `target`."""
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target} is there already: give another output, or remove it")


def place_of(target: Path) -> Path:
    """Return where the folder is until it is whole."""
    return target.with_name(f".{target.name}.unfinished")


@contextmanager
def unfinished(target: Path, identity: str) -> Iterator[Path]:
    """Give a hidden folder beside `target` to write in, which becomes `target` when the block ends without an error.

    Where a process died within the block, the next one with the same `identity` finds what is in the folder; another
    one begins with an empty folder. Raises `ConfigError` where `target` is there, or another process writes it.
    """
    refuse_existing(target)
    folder = place_of(target)
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another process is writing {target}: wait for it") from None
        refuse_existing(target)  # the one who held the lock may have finished meanwhile
        _begin(folder, identity)
        yield folder
        os.fsync(opened)
        folder.rename(target)
        (target / _IDENTITY).unlink()
        _sync(target.parent)
    finally:
        os.close(opened)


def _begin(folder: Path, identity: str) -> None:
    """Empty the folder unless it holds the work of the same identity."""
    noted = folder / _IDENTITY
    if noted.is_file() and noted.read_text(encoding="utf-8") == identity:
        return
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    noted.write_text(identity, encoding="utf-8")


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
