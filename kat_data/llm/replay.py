"""Recorded ledgers: real replies kept in a file, and clients that answer from them."""

import gzip
import io
import os
import zlib
from pathlib import Path
from typing import Self

import orjson

from kat_data.domain.call import CallRequest, Reply
from kat_data.domain.codec import from_python
from kat_data.errors import InputError, RecordingMiss
from kat_data.llm.client import Client

_ABOUT_CHARS = 60


class Recording:
    """Replies by ledger key, stored as gzipped JSON Lines: `{about, key, model, reply}`, sorted by key.

    The same replies give the same bytes. The key covers the request, so the request itself is not stored; `about` is
    the beginning of its last message, for people.
    """

    def __init__(self) -> None:
        self._records: dict[str, dict[str, object]] = {}
        self._replies: dict[str, Reply] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, request: CallRequest) -> bool:
        return request.key.hex() in self._records

    @property
    def keys(self) -> frozenset[str]:
        """The ledger keys, hex, of everything recorded."""
        return frozenset(self._records)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a recording; raises `InputError` that names the line where the file is no recording."""
        recording = cls()
        try:
            lines = gzip.decompress(path.read_bytes()).splitlines()
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} cannot be read as a recording: {error}") from error
        for number, line in enumerate(lines, 1):
            try:
                record = orjson.loads(line)
                recording._replies[record["key"]] = from_python(Reply, record["reply"])
                recording._records[record["key"]] = record
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path}, line {number}: no recorded reply; record it again") from error
        return recording

    def get(self, request: CallRequest) -> Reply | None:
        """Return the recorded reply, or none."""
        return self._replies.get(request.key.hex())

    def add(self, request: CallRequest, reply: Reply) -> None:
        """Keep `reply` as the answer to `request`."""
        key = request.key.hex()
        self._replies[key] = reply
        self._records[key] = {"about": about(request), "key": key, "model": request.model, "reply": reply}

    def keep(self, keys: set[str]) -> None:
        """Forget every reply whose key, hex, is not among `keys`."""
        for key in self._records.keys() - keys:
            del self._records[key], self._replies[key]

    def save(self, path: Path) -> None:
        """Write the recording; the old file stays whole until the new one takes its place."""
        lines = [orjson.dumps(record) for _, record in sorted(self._records.items())]
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
            file.write(b"".join(line + b"\n" for line in lines))
        draft = path.with_name(path.name + ".tmp")
        with draft.open("wb") as file:
            file.write(packed.getvalue())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


class ReplayClient:
    """Answers from a recording alone."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    async def complete(self, request: CallRequest) -> Reply:
        reply = self._recording.get(request)
        if reply is None:
            raise RecordingMiss(
                f"the recording holds no reply of {request.model} to {about(request)!r} "
                f"(call {request.key.hex()[:12]}): record it, or run live"
            )
        return reply

    async def close(self) -> None:
        """Nothing is open."""


class RecordingClient:
    """Answers from a recording, else from `live`, and records that; saving is the caller's."""

    def __init__(self, recording: Recording, live: Client) -> None:
        self._recording = recording
        self._live = live
        self.asked: set[str] = set()

    async def complete(self, request: CallRequest) -> Reply:
        self.asked.add(request.key.hex())
        reply = self._recording.get(request)
        if reply is None:
            reply = await self._live.complete(request)
            self._recording.add(request, reply)
        return reply

    async def close(self) -> None:
        await self._live.close()


def about(request: CallRequest) -> str:
    """Return the beginning of the last message, on one line."""
    last = request.messages[-1].content if request.messages else ""
    return " ".join(last[: 4 * _ABOUT_CHARS].split())[:_ABOUT_CHARS]
