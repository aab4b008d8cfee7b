"""What runs inside a program's own process, beside the program: nothing here is trusted by anyone."""

import atexit
import builtins
import json
import os
import socket
import sys
import threading
import types
from typing import Any

from kat_data.sandbox.inside import frames
from kat_data.sandbox.inside.server import Server

# The functions below keep their own builtins, whatever a program does to the shared ones.
__builtins__ = dict(vars(builtins))  # type: ignore[assignment]

_FROM_TESTER = 1 << 28
_SERVING = 8  # frames between ours and the program's own, at most


def run_script() -> None:
    """Run the source in descriptor 3 as `python file.py` would, and exit as it would."""
    source = read(3)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    module.__file__ = f"{os.environ['HOME']}/program.py"
    lift_recursion()
    os._exit(_finish(_run_main(source, module.__dict__)))


def _run_main(source: bytes, names: dict[str, Any]) -> int:
    try:
        exec(compile(source, "program.py", "exec", dont_inherit=True), names)  # noqa: S102
    except SystemExit as end:
        return _status(end.code)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _status(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)  # noqa: T201
    return 1


def _finish(status: int) -> int:
    """Do what an interpreter does at its end, but for freeing memory that the process gives back anyway."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for the program's own threads
        atexit._run_exitfuncs()
        sys.stderr.flush()
        sys.stdout.flush()
    except BaseException:
        return status or 120  # what Python exits with where the last output cannot be written
    return status


def make_calls() -> None:
    """Load the source in descriptor 4, make the calls in descriptor 5, and write an answer for each to descriptor 3."""
    source, given = read(4), json.loads(read(5))
    server = Server(lambda data: _write(3, data), given["output"])
    lift_recursion()
    server.load(source)
    for request in given["calls"]:
        server.answer(request)
    os._exit(0)


def serve_tester() -> None:
    """Load the source in descriptor 4 and answer the tester's requests over descriptor 3 until it closes it."""
    source = read(4)
    connection = socket.socket(fileno=3)
    channel = frames.Channel(connection, _FROM_TESTER)
    server = Server(connection.sendall, channel.receive()["output"], channel)
    lift_recursion()
    server.load(source)
    while True:
        server.answer(channel.receive())


def lift_recursion() -> None:
    """Give a program as deep a recursion as it has alone: what is below it on the stack is ours."""
    depth, frame = _SERVING, sys._getframe()
    while (below := frame.f_back) is not None:
        depth, frame = depth + 1, below
    sys.setrecursionlimit(sys.getrecursionlimit() + depth)


def read(descriptor: int) -> bytes:
    """Return what a descriptor holds, and close it: nothing of it can be read again."""
    with open(descriptor, "rb") as file:
        return file.read()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
