"""What a training run leaves behind: `record.jsonl`, whose lines a registry can import later.

The first line says what the run is, the last how it ended; between them stand metrics and checkpoints. The run's
identity is the hash of its first line without the clock, so that a run which is resumed goes on in the same record.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from kat_data import __version__
from kat_data.errors import ConfigError
from kat_data.hashing import content_hash

RECORD: Final = "record.jsonl"


class Record:
    """One run's record in its output folder; every line is on the disk when a method returns."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Begin the record, or go on with that of the same run; raises `ConfigError` where another run's is there.

        `identity` holds JSON values and paths: the trainer, its configuration, its snapshots' content hashes, the
        model it begins with.
        """
        self.path = folder / RECORD
        self.identity = {**orjson.loads(orjson.dumps(identity, default=str)), "code_version": __version__}
        self.hash = content_hash(self.identity).hex()
        folder.mkdir(parents=True, exist_ok=True)
        if before := lines(self.path):
            if before[0]["hash"] != self.hash:
                raise ConfigError(f"{folder} holds another training run: give another output folder, or remove it")
            self._write("resumed")
        else:
            self._write("started", hash=self.hash, run=self.identity)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Note what was measured at a step."""
        self._write("metrics", step=step, values=dict(values))

    def checkpoint(self, step: int, folder: Path) -> str:
        """Note a checkpoint by the hash of its weights, which is returned, hex."""
        found = weights_hash(folder.glob("*.safetensors"))
        self._write("checkpoint", step=step, path=str(folder), hash=found)
        return found

    def finished(self, values: Mapping[str, float]) -> None:
        """Note that the run has ended as it should."""
        self._write("finished", values=dict(values))

    def failed(self, error: str) -> None:
        """Note that the run has ended with an error."""
        self._write("failed", error=error)

    def _write(self, event: str, **values: Any) -> None:
        line = {"event": event, "at": datetime.now(UTC).isoformat(timespec="seconds"), **values}
        with self.path.open("ab") as file:
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
            file.flush()
            os.fsync(file.fileno())


def lines(path: Path) -> list[dict[str, Any]]:
    """Return a record's lines; a last one that a kill cut in half is left out, and removed before the next is written.

    Nothing where there is no record.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return [orjson.loads(line) for line in whole.splitlines()]


def weights_hash(files: Iterable[Path]) -> str:
    """Return the SHA-256 of a checkpoint's weights, hex: over names and contents of its files in the names' order."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
