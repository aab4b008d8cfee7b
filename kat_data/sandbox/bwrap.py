"""Slots in bubblewrap, for machines without Docker: namespaces and the same system-call filter, but no control group.

As root, programs and tests get users of their own, as in Docker. As anyone else bubblewrap can map one user only: a
program may then kill its slot (which is never a verdict), but still cannot read from or write to the other processes,
and each slot serves one program. Memory and files are counted fifty times a second instead of being capped by the
kernel, and no slot has a weight of processor time: neither niceness nor fixed processors can give it one, as both would
also set apart slots of other processes that nobody here knows of.
"""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryFile

from kat_data.errors import SandboxMissing
from kat_data.sandbox import boot, seccomp
from kat_data.sandbox.bare import ProcessPipe
from kat_data.sandbox.layout import FOLDERS, config, draw_users
from kat_data.sandbox.slot import Slot

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


class BwrapSlots:
    """Starts slots with the `bwrap` of this machine, over its own /usr."""

    name = "bwrap"

    def start(self, memory_mb: int) -> Slot:  # the supervisor watches the memory
        """Start a slot with a supervisor as the first process of its own namespaces."""
        users = draw_users() if os.geteuid() == 0 else None
        with TemporaryFile() as filter_:
            filter_.write(seccomp.program())
            filter_.seek(0)
            pipe = ProcessPipe(_command(filter_.fileno()), pass_fds=(filter_.fileno(),))
        files = {folder.path: folder.files for folder in FOLDERS}
        return Slot(pipe, config(users=users, folders=list(files), grouped=False, files=files))


def _bwrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxMissing("bubblewrap is not installed: apt-get install bubblewrap, or use KAT_SANDBOX=docker.")
    return found


def _command(filter_: int) -> list[str]:
    command = [
        _bwrap(),
        "--as-pid-1",
        "--new-session",
        "--clearenv",
        "--hostname",
        "sandbox",
        "--seccomp",
        str(filter_),
    ]
    # No --die-with-parent: it means the thread that started the slot. A slot ends when its input does.
    if os.geteuid() == 0:
        command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        command += ["--cap-drop", "ALL"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
            command += ["--cap-add", capability]
    else:
        command += ["--unshare-all", "--uid", "65534", "--gid", "65534"]
    command += ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    for folder in map(Path, _SYSTEM):
        if folder.is_symlink():
            command += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            command += ["--ro-bind", str(folder), str(folder)]
    python, binds = _python()
    command += [*binds, "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--chdir", "/"]
    for writable in FOLDERS:
        command += ["--perms", "1777", "--size", str(writable.size), "--tmpfs", writable.path]
    return [*command, "--remount-ro", "/", python, *boot.COMMAND[1:]]


def _python() -> tuple[str, list[str]]:
    """Return the Python to run inside, and what has to be mounted for it: the system's own, else this one."""
    if Path("/usr/bin/python3").exists():
        return "/usr/bin/python3", []
    name = Path(os.path.realpath(sys.executable)).name
    return f"/python/bin/{name}", ["--ro-bind", sys.base_prefix, "/python"]
