"""The warm process that every program is forked from; it never sees a program, a test or an input.

It is asked over a socket: a message says how to set the child up, and descriptors come beside it. What the child runs
it reads from those descriptors, after the fork and as another user.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from typing import Any

from kat_data.sandbox.inside import privilege, program, tester, wipe

MESSAGE_LIMIT = 1 << 16
_FILES = 256
_STACK = 256 << 20
_PROGRAM = 3  # the descriptor of a compiled program
# Imported before the first fork, because most programs import them.
_COMMON = (
    "bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools", "math",
    "operator", "os", "random", "re", "statistics", "string", "sys", "threading", "time", "typing",
)  # fmt: skip
# Each gets the descriptors from 3 on: a channel or a result pipe, and a file with its input.
_ROLES: dict[str, Callable[[], None]] = {
    "script": program.run_script,
    "calls": program.make_calls,
    "functions": program.serve_tester,
    "tests": tester.run_tests,
    "wipe": wipe.run,
}


def main(connection: socket.socket) -> None:
    """Serve the supervisor until it closes the connection."""
    for name in _COMMON:
        __import__(name)
    gc.collect()
    gc.freeze()  # or the children's collector would touch, and so copy, every page that they share
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_LIMIT, 8)
        if not data:
            return
        request = json.loads(data)
        if "reap" in request:
            connection.send(json.dumps(_reap(request["reap"])).encode())
            continue
        started = _fork(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(json.dumps(started).encode())


def _reap(pid: int) -> int:
    """Wait for a child and return its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fork(request: dict[str, Any], descriptors: list[int]) -> int | str:
    """Fork a child that becomes what the request says; words on why it could not, where it could not."""
    ready, its_ready = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        os.close(its_ready)
        os.close(ready)
        return f"no process can be forked: {error}"
    if pid == 0:
        try:
            _arrange([*descriptors, its_ready])
            _become(request, len(descriptors))
        except BaseException as error:
            os.write(len(descriptors), f"{type(error).__name__}: {error}"[:200].encode())
        finally:
            os._exit(70)  # nothing returns from here into the zygote's loop
    os.close(its_ready)
    with open(ready, "rb") as file:  # noqa: PTH123
        trouble = file.read(200)
    if trouble:
        os.waitpid(pid, 0)
        return trouble.decode("utf-8", "replace")
    return pid


def _become(request: dict[str, Any], ready: int) -> None:
    """Set this process up and run its role; `ready` is closed once nothing of ours can fail any more."""
    os.setsid()
    _limit(request["limits"])
    if request["user"] is not None:
        os.setgroups([])
        os.setresgid(*[request["user"]] * 3)
        os.setresuid(*[request["user"]] * 3)
    if not request["grouped"]:
        privilege.deny_nameless_files()
    os.umask(0o077)
    os.chdir(request["folder"])
    environment = {"HOME": request["folder"], "TMPDIR": request["folder"], "LANG": "C.UTF-8", "PATH": os.defpath}
    os.environ.clear()
    os.environ.update(environment)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN if request["role"] != "exec" else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["role"] == "exec":
        program = _PROGRAM if ready > _PROGRAM else request["command"][0]
        os.execve(program, request["command"], environment)  # noqa: S606
    gc.enable()
    os.close(ready)  # what goes wrong from here on is the program's own
    _ROLES[request["role"]]()


def _arrange(descriptors: list[int]) -> None:
    """Put the descriptors at 0, 1, 2 … and close every other one."""
    moved = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(descriptors)]
    for i, fd in enumerate(moved):
        os.dup2(fd, i, inheritable=i < 3)
    os.closerange(len(descriptors), _FILES)


def _limit(limits: dict[str, int]) -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # the first to go where memory ends
    cap = {
        resource.RLIMIT_AS: limits["address_space"],
        resource.RLIMIT_CPU: limits["cpu"],
        resource.RLIMIT_FSIZE: limits["file"],
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_STACK: _STACK,
    }
    if limits["pids"]:
        cap[resource.RLIMIT_NPROC] = limits["pids"]
    for kind, value in cap.items():
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))
