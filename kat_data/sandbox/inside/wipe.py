"""Empties folders as the user who filled them: only they may open what they closed to everyone else."""

import contextlib
import errno
import os

_ROUNDS = 100_000


def run() -> None:
    """Empty the folders that descriptor 3 names, one a line; what cannot be removed is left for the caller to see."""
    with open(3) as file:
        folders = file.read().split("\n")
    for folder in folders:
        _empty(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    os._exit(0)


def _empty(root: int) -> None:
    """Empty an open folder, however deep it is: what a subfolder holds is moved up, then the subfolder goes.

    By descriptors, so that no path is too long and no link leads elsewhere.
    """
    moved = 0
    for _ in range(_ROUNDS):
        cleared = False
        for name in os.listdir(root):
            if _unlinked(name, root):
                cleared = True
                continue
            with contextlib.suppress(OSError):
                os.chmod(name, 0o700, dir_fd=root)
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
                moved = _move_up(inner, root, moved)
                os.rmdir(name, dir_fd=root)
                cleared = True
        if not cleared:
            return


def _move_up(inner: int, root: int, moved: int) -> int:
    """Remove the files of an open folder and move its subfolders to the root under names of our own."""
    try:
        for name in os.listdir(inner):
            if not _unlinked(name, inner):
                os.chmod(name, 0o700, dir_fd=inner)
                moved = _renamed(name, inner, root, moved)
    finally:
        os.close(inner)
    return moved


def _renamed(name: str, inner: int, root: int, moved: int) -> int:
    """Move a folder to the root under the next name there that the program did not take before."""
    for number in range(moved + 1, moved + _ROUNDS):
        try:
            os.rename(name, f"\1wiped {number}", src_dir_fd=inner, dst_dir_fd=root)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return number
    return moved


def _unlinked(name: str, folder: int) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True
