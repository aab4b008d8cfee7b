"""A scripted server in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a scripted server is reached."""

    url: str

    @property
    def requests(self) -> int:
        """How many requests it has seen."""
        return int(self.statistics["requests"])

    @property
    def statistics(self) -> dict[str, Any]:
        """What it has seen, as `scripted_server.Statistics` names it."""
        return self._say("/stats")

    def hold(self, *, after: int = 0) -> None:
        """Let `after` more answers go, and no other until `release`."""
        self._say(f"/hold?after={after}", b"")

    def release(self) -> None:
        """Let all answers go again."""
        self._say("/release", b"")

    def _say(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        with urlopen(self.url.removesuffix("/v1") + path, body, timeout=60) as response:  # noqa: S310 (our own server)
            found: dict[str, Any] = orjson.loads(response.read())
            return found


@contextmanager
def serving(*options: object) -> Iterator[Endpoint]:
    """Run `python -m kat_data.testing.scripted_server OPTIONS` while the block runs."""
    command = [sys.executable, "-m", "kat_data.testing.scripted_server", *map(str, options)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            yield Endpoint(url=process.stdout.readline().strip())
        finally:
            process.terminate()
