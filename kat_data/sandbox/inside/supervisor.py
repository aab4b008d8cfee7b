"""The first process of a slot: takes one program at a time from the host and says what its processes did.

It never runs a program's code nor reads what a program sends but to count it, and keeps nothing between programs.
"""

import base64
import fcntl
import json
import os
import socket
import sys
from typing import Any

from kat_data.sandbox.inside import frames, privilege
from kat_data.sandbox.inside.memory import Memory
from kat_data.sandbox.inside.processes import Processes, SlotBroken
from kat_data.sandbox.inside.watch import HOST, Watch, Watched

_STDERR_KEPT = 2000
# Compiling has the task's limits, but never less than a short program needs with every header of the library.
_COMPILING = {"wall_s": 10.0, "memory_mb": 512, "output_bytes": 1 << 20, "pids": 32}
_WIPING = {"wall_s": 5.0, "memory_mb": 512, "output_bytes": 0, "pids": 0}
_FILE_BYTES = 64 << 20
_ADDRESS_SPACE = 4 << 30  # beside twice the memory: stacks and mappings that are never touched
_COMPILER = ("/usr/bin/g++", "-O2", "-std=gnu++17", "-pipe", "-x", "c++", "-", "-o", "/proc/self/fd/1")


def main(config: dict[str, Any]) -> None:
    """Serve the host on standard input and output until it closes them.

    `config`: `users` (the program's and the tester's user id, or none to stay who we are), `folder` (where programs
    work), `wiped` (every folder that they can write to), `grouped` (whether a control group of its own holds the slot),
    `files` (how many files a folder may hold, where they must be counted here).
    """
    privilege.hide(end_with_parent=not config["grouped"] and os.getpid() == 1)
    supervisor = Supervisor(config)
    supervisor.answer({"python": sys.version.split()[0], "compiler": os.access(_COMPILER[0], os.X_OK)})
    while (request := _receive()) is not None:
        try:
            supervisor.do(request)
        except SlotBroken as error:
            supervisor.answer({"broken": str(error)})
            return


class Supervisor:
    """Holds one program: loaded, run, called or tested, and ended."""

    def __init__(self, config: dict[str, Any]) -> None:
        users: list[int | None] = config["users"] or [None, None]
        self._user, self._tester = users
        self._folder = config["folder"]
        self._wiped = config["wiped"]
        self._grouped = config["grouped"]
        self._processes = Processes()
        self._watch = Watch(self._processes, Memory(grouped=self._grouped), config["files"])
        self._program: dict[str, Any] = {}
        self._compiled: Watched | None = None
        self._binary = -1

    def do(self, request: dict[str, Any]) -> None:
        """Do what a request says and answer it, unless it is a `load`, which has no answer."""
        match request["op"]:
            case "load":
                self._forget()
                self._program = request
            case "run":
                self.answer({"runs": self._run([base64.b64decode(given) for given in request["inputs"]])})
            case "call":
                self.answer(self._call(request["calls"]))
            case "test":
                self.answer(self._test(request["suite"]))
            case "end":
                self._forget()
                self.answer({"clean": self._clean()})

    def answer(self, message: dict[str, Any]) -> None:
        _write(1, frames.pack(message))

    def _run(self, inputs: list[bytes]) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = []
        if self._program["language"] == "cpp" and self._compiled is None:
            self._compiled = self._compile()
            if self._compiled.ending != "exited" or self._compiled.code:
                return [{**_shown(self._compiled), "compiled": False}]
        for given in inputs:
            runs.append(_shown(self._run_once(given)))
            if runs[-1]["ending"] != "exited" or runs[-1]["code"]:
                break
            if not self._clean():
                raise SlotBroken("something of the program stays from one case to the next")
        return runs

    def _forget(self) -> None:
        self._program, self._compiled = {}, None
        if self._binary >= 0:
            os.close(self._binary)
            self._binary = -1

    def _compile(self) -> Watched:
        """Compile into a nameless file that no program can change, so that each case runs what was compiled."""
        limits = {name: max(least, self._program["limits"][name]) for name, least in _COMPILING.items()}
        self._binary = _memory_file()
        watched = self._watched("exec", [_file(self._source())], limits, out=self._binary, command=_COMPILER)
        if not self._clean():
            raise SlotBroken("something of the compiler stays")
        fcntl.fcntl(self._binary, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        return watched

    def _run_once(self, given: bytes) -> Watched:
        limits = self._program["limits"]
        limits = {**limits, "memory_mb": limits["memory_mb"] + (len(given) >> 20)}  # its input is no memory of its own
        if self._program["language"] == "cpp":
            return self._watched("exec", [_file(given)], limits, [os.dup(self._binary)], command=["program"])
        return self._watched("script", [_file(given)], limits, [_file(self._source())])

    def _call(self, calls: list[Any]) -> dict[str, Any]:
        limits = self._program["limits"]
        answers, theirs = os.pipe2(os.O_CLOEXEC)
        given = _file(json.dumps({"output": limits["output_bytes"], "calls": calls}).encode())
        files = [theirs, _file(self._source()), given]
        watched = self._watched("calls", [_null()], limits, files, read=[answers])
        return {**_shown(watched), "answers": _encoded(watched.data[answers])}

    def _test(self, suite: dict[str, Any]) -> dict[str, Any]:
        """Run the program and the tester side by side; the tester's own report is all that can say `passed`."""
        limits = self._program["limits"]
        report, its_report = os.pipe2(os.O_CLOEXEC)
        noise, its_noise = os.pipe2(os.O_CLOEXEC)
        its_end, programs_end = _pair()
        given = json.dumps({**suite, "output": limits["output_bytes"]}).encode()
        programs = [_null(), its_noise, its_noise, programs_end, _file(self._source())]
        testers = [_null(), its_noise, its_noise, its_report, _file(given), its_end]
        program = self._start("functions", programs, limits)
        tester = self._start("tests", testers, limits, self._tester)
        for descriptor in {*programs, *testers}:
            os.close(descriptor)
        watched = self._watch(tester, [report, noise], limits)
        last = 0.05 if b'"gone"' in watched.data[report] else 0.0
        end = self._watch(program, [], {**limits, "wall_s": last})
        return {**_shown(watched, noise), "report": _encoded(watched.data[report]), "program": [end.ending, end.code]}

    def _watched(
        self,
        role: str,
        stdin: list[int],
        limits: dict[str, Any],
        files: list[int] | None = None,
        read: list[int] | None = None,
        out: int | None = None,
        **request: Any,
    ) -> Watched:
        """Start a process of the program's user and watch it; descriptors 1 and 2 of the answer are its output.

        `out` takes the place of its standard output.
        """
        read_out, its_out = os.pipe2(os.O_CLOEXEC)
        if out is not None:
            os.dup2(out, its_out, inheritable=False)
        err, its_err = os.pipe2(os.O_CLOEXEC)
        given = [*stdin, its_out, its_err, *(files or [])]
        pid = self._start(role, given, limits, **request)
        for descriptor in given:
            os.close(descriptor)
        watched = self._watch(pid, [read_out, err, *(read or [])], limits)
        data = {**watched.data, 1: watched.data[read_out], 2: watched.data[err]}
        return Watched(watched.ending, watched.code, data, watched.seconds)

    def _start(
        self, role: str, descriptors: list[int], limits: dict[str, Any], user: int | None = None, **request: Any
    ) -> int:
        caps = {
            "address_space": 2 * limits["memory_mb"] * 2**20 + _ADDRESS_SPACE,
            "cpu": int(limits["wall_s"]) + 2,
            "file": _FILE_BYTES,
            "pids": self._pids(limits["pids"]),
        }
        user = self._user if user is None else user
        return self._processes.start(
            role, descriptors, user=user, folder=self._folder, limits=caps, grouped=self._grouped, **request
        )

    def _pids(self, pids: int) -> int:
        """Return the cap on the user's processes; none where that user has others that are not the slot's."""
        if self._user is not None or not pids:
            return pids
        return pids + 2 if os.getpid() == 1 else 0

    def _source(self) -> bytes:
        return str(self._program["source"]).encode("utf-8", "surrogatepass")

    def _clean(self) -> bool:
        """End every process and empty every folder; false where something cannot be removed."""
        if not self._processes.clear():
            return False
        for user in (self._user, self._tester):
            if self._is_empty():
                return True
            self._wipe(user)
        return self._processes.clear() and self._is_empty()

    def _is_empty(self) -> bool:
        return not any(os.listdir(folder) for folder in self._wiped)  # noqa: PTH208

    def _wipe(self, user: int | None) -> None:
        names = _file("\n".join(self._wiped).encode())
        null = _null()
        pid = self._start("wipe", [null, null, null, names], _WIPING, user)
        os.close(names)
        os.close(null)
        self._watch(pid, [], _WIPING)


def _shown(watched: Watched, stderr: int = 2) -> dict[str, Any]:
    return {
        "ending": watched.ending,
        "code": watched.code,
        "seconds": watched.seconds,
        "stdout": _encoded(watched.data.get(1, b"")),
        "stderr": watched.data.get(stderr, b"")[-_STDERR_KEPT:].decode("utf-8", "replace"),
    }


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _file(data: bytes) -> int:
    """Return a descriptor of a nameless file that holds `data`: a process reads it without anyone feeding it."""
    descriptor = _memory_file()
    _write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _memory_file() -> int:
    return os.memfd_create("given", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _null() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _pair() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def _receive() -> dict[str, Any] | None:
    """Return the host's next request, or none where it is gone."""
    head = _exactly(frames.LENGTH.size)
    if head is None:
        return None
    body = _exactly(frames.LENGTH.unpack(head)[0])
    return None if body is None else json.loads(body)


def _exactly(size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = os.read(HOST, min(size - len(data), 1 << 20))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
