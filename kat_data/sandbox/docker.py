"""Slots in Docker containers: no network, nothing writable but a small /tmp, no privilege but to change users."""

import os
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from kat_data.errors import SandboxMissing
from kat_data.sandbox import boot, seccomp
from kat_data.sandbox.layout import FOLDERS, Folder, config, draw_users
from kat_data.sandbox.owner import LABEL, alive, owner
from kat_data.sandbox.slot import SAID, Slot, SlotLost

IMAGE = "kat-data-sandbox:1"
_HEAD = struct.Struct(">BxxxI")
_STDERR = 2
# Beside the programs' own memory: the supervisor, the zygote, and what the kernel keeps for them.
_OWN_MEMORY_MB = 256
_PIDS = 512
_TIMEOUT_SECONDS = 60
_SYSCTLS = {"kernel.sem": "0 0 0 0", "kernel.shmmni": "0", "kernel.msgmni": "0", "fs.mqueue.queues_max": "0"}


class DockerSlots:
    """Starts slots in containers of the engine that `DOCKER_HOST` names, or the local one."""

    def __init__(self, *, image: str = IMAGE, runtime: str | None = None) -> None:
        self._image = image
        self._runtime = runtime
        self._client: Any = None
        self._owner = 0

    @property
    def name(self) -> str:
        return f"docker {self._image}" + (f" {self._runtime}" if self._runtime else "")

    def check(self) -> dict[str, str]:
        """Return the engine's and the image's versions; `SandboxMissing` says what to do where one is not there."""
        import docker.errors

        api = self._api()
        try:
            image = api.inspect_image(self._image)
        except docker.errors.ImageNotFound:
            raise SandboxMissing(self._no_image()) from None
        version = api.version()
        self._check_runtime(api)
        return {"engine": str(version["Version"]), "image": str(image["Id"])}

    def start(self, memory_mb: int) -> Slot:
        """Start a container whose programs may hold so many megabytes, with a supervisor as its first process."""
        import docker.errors
        import requests

        api = self._api()
        container = ""
        try:
            container = api.create_container(
                self._image,
                list(boot.COMMAND),
                environment={},
                hostname="sandbox",
                labels={LABEL: owner()},
                stdin_open=True,
                host_config=self._host_config(api, memory_mb),
                network_disabled=True,
                runtime=self._runtime,
                working_dir="/",
                user="0:0",
            )["Id"]
            pipe = _ContainerPipe(api, container)
            api.start(container)
        except docker.errors.ImageNotFound:
            raise SandboxMissing(self._no_image()) from None
        except (docker.errors.APIError, requests.RequestException, OSError) as error:
            with suppress(docker.errors.APIError, requests.RequestException, OSError):
                api.remove_container(container, force=True)
            raise SlotLost(f"Docker starts no container from {self._image}: {str(error)[:300]}") from error
        folders = [folder.path for folder in FOLDERS]
        return Slot(pipe, config(users=draw_users(), folders=folders, grouped=True))

    def _host_config(self, api: Any, memory_mb: int) -> dict[str, Any]:
        memory = (memory_mb + _OWN_MEMORY_MB) << 20
        host_config: dict[str, Any] = api.create_host_config(
            auto_remove=True,
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            cap_add=["SETUID", "SETGID", "KILL"],
            security_opt=["no-new-privileges:true", f"seccomp={seccomp.profile()}"],
            pids_limit=_PIDS,
            mem_limit=memory,
            memswap_limit=memory,
            tmpfs={folder.path: _tmpfs(folder) for folder in FOLDERS},
            ipc_mode="private",
            sysctls=_SYSCTLS,
            oom_score_adj=0,
            log_config={"Type": "none"},
        )
        return host_config

    def _no_image(self) -> str:
        if self._image == IMAGE:
            return f"The sandbox image {self._image} is not built: run `kat sandbox build`."
        return f"The engine has no image {self._image}: pull or build it, or unset KAT_SANDBOX_IMAGE."

    def _check_runtime(self, api: Any) -> None:
        known = api.info().get("Runtimes", {})
        if self._runtime and self._runtime not in known:
            names = ", ".join(sorted(known))
            raise SandboxMissing(f"The Docker engine has no runtime {self._runtime}: install it, or use {names}.")

    def _api(self) -> Any:
        """Return the engine's API; one a process, because a forked child must not share its parent's connections."""
        import docker
        import docker.errors

        if self._client is None or self._owner != os.getpid():
            try:
                _knock(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
                client = docker.from_env(timeout=_TIMEOUT_SECONDS)
                client.ping()
            except (docker.errors.DockerException, OSError) as error:
                raise SandboxMissing(
                    "No Docker engine answers: start one or set DOCKER_HOST, or take another sandbox with"
                    f" KAT_SANDBOX=bwrap ({str(error)[:200]})."
                ) from error
            self._client, self._owner = client, os.getpid()
        return self._client.api

    def reap(self, *, every: bool = False) -> int:
        """Remove the containers whose owners are dead, or every slot of this engine; return how many."""
        import docker.errors

        api = self._api()
        removed = 0
        for container in api.containers(all=True, filters={"label": LABEL}):
            if every or not alive(container["Labels"][LABEL]):
                with suppress(docker.errors.APIError):
                    api.remove_container(container["Id"], force=True)
                    removed += 1
        return removed


def _tmpfs(folder: Folder) -> str:
    run = "exec" if folder.executable else "noexec"
    return f"rw,{run},nosuid,nodev,size={folder.size},nr_inodes={folder.files},mode=1777"


class _ContainerPipe:
    """Standard input and output of a container, over the engine's attach connection."""

    def __init__(self, api: Any, container: str) -> None:
        self._api = api
        self._container = container
        self._pid = os.getpid()
        self._data = bytearray()
        stream = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self._stream = stream
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._socket.settimeout(_TIMEOUT_SECONDS)
        self._said = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, seconds: float) -> bytes:
        end = time.monotonic() + seconds
        while True:
            found = self._frame()
            if found:
                return found
            poll = select.poll()  # not select(), which knows no descriptor above 1023
            poll.register(self._socket, select.POLLIN)
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError(f"no answer in {seconds:.0f} s")
            chunk = self._socket.recv(1 << 20)
            if not chunk:
                return b""
            self._data += chunk

    def _frame(self) -> bytes:
        """Take as much of standard output as is whole; the engine puts a head of eight bytes before each piece."""
        found = bytearray()
        while len(self._data) >= _HEAD.size:
            kind, size = _HEAD.unpack_from(self._data)
            if len(self._data) < _HEAD.size + size:
                break
            piece = self._data[_HEAD.size : _HEAD.size + size]
            del self._data[: _HEAD.size + size]
            if kind == _STDERR:
                self._said = (self._said + bytes(piece))[-SAID:]
            else:
                found += piece
        return bytes(found)

    def said(self) -> bytes:
        return self._said

    def close(self) -> None:
        import docker.errors

        with suppress(OSError):
            self._stream.close()
            self._socket.close()
        if self._pid == os.getpid():  # in a forked child the container is the parent's
            with suppress(docker.errors.APIError, OSError):
                self._api.remove_container(self._container, force=True)


def _knock(host: str) -> None:
    """Raise `OSError` where nobody listens at a Unix socket; the client would leave its own end of it open."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(host.removeprefix("unix://"))
