"""The scripted server's log: one line of JSON for every request, written when it has ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from kat_data.hashing import sha256

CUT_OFF = "cut off"


@dataclass(slots=True, kw_only=True)
class Served:
    """One request: when it came and ended (seconds since the epoch), and how many were in flight then, it included.

    `body` is its body's SHA-256, hex. `outcome` is `answered`, a fault's, another status, or `cut off` where the
    client left before its answer: an endpoint may charge for those, too.
    """

    started: float
    ended: float = 0.0
    body: str
    outcome: str = CUT_OFF
    in_flight: int

    @property
    def paid(self) -> bool:
        """Whether an endpoint would charge for it."""
        return self.outcome in {"answered", CUT_OFF}


class RequestLog:
    """Writes what a server served; without a file it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("ab", buffering=0) if path else None

    @contextmanager
    def entry(self, body: bytes, in_flight: int) -> Iterator[Served]:
        """Yield the record of one request, whose outcome the caller notes, and write it at the end."""
        served = Served(started=time.time(), body=sha256(body).hex(), in_flight=in_flight)
        try:
            yield served
        finally:
            served.ended = time.time()
            if self._file:
                self._file.write(orjson.dumps(asdict(served)) + b"\n")

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


def read_log(path: Path) -> list[Served]:
    """Return every request of a log, in the order in which they came."""
    return sorted((Served(**orjson.loads(line)) for line in path.read_bytes().splitlines()), key=lambda s: s.started)
