"""What root has to do for its embedded Postgres, which refuses to run as root: another user, and ways in for it."""

import fcntl
import os
import pwd
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_USER = "kat-postgres"


def server_account() -> tuple[int, int]:
    """Return the user and group that root's servers run as, created on first use."""
    account = _account()
    return account.pw_uid, account.pw_gid


@contextmanager
def passable(*paths: Path) -> Iterator[None]:
    """Let everybody pass through the folders of `paths` while the block runs; does nothing unless we are root.

    The lock on the root folder keeps two starts from closing a folder that the other still needs.
    """
    if os.geteuid() != 0:
        yield
        return
    root = os.open("/", os.O_RDONLY)
    closed: list[tuple[Path, int]] = []
    try:
        fcntl.flock(root, fcntl.LOCK_EX)
        for folder in _parents(paths):
            mode = stat.S_IMODE(folder.stat().st_mode)
            if not mode & stat.S_IXOTH:
                folder.chmod(mode | stat.S_IXOTH)
                closed.append((folder, mode))
        yield
    finally:
        for folder, mode in closed:
            folder.chmod(mode)
        os.close(root)


def _account() -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam(_USER)
    create = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _USER]
    with suppress(OSError):
        subprocess.run(create, capture_output=True, check=False)  # noqa: S603
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        return pwd.getpwnam("nobody")


def _parents(paths: Iterable[Path]) -> list[Path]:
    folders = {parent for path in paths for parent in (path, *path.parents, *path.resolve().parents)}
    return sorted(folders)


def open_to_all(tree: Path) -> None:
    """Let everybody read the installation in `tree`, as a strict umask may have closed it at install time."""
    if os.geteuid() != 0 or tree.stat().st_mode & stat.S_IROTH:
        return
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        run = stat.S_IXOTH if mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | run)
