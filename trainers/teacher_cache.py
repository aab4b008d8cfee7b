"""What teachers said, on disk: written once, read in any order by every run and at every depth of prediction.

A row belongs to a key, the hash of all that it depends on: which teacher at which revision, its tokenizer, the tokens
it read, and K. Rows are packed in shards of safetensors that are named by their content, appear whole, and are never
changed: a writer that is killed loses the shard it was filling, and several may write into one folder. Readers map the
shards into memory. A teacher's reply for a token is its K largest log-probabilities (half precision, so that
probabilities keep an error of 0.05 % of their share of the entropy), their ids, the mass of the rest, and the
log-probability of the token itself.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kat_data.errors import NotFoundError
from kat_data.hashing import content_hash, sha256

_OPEN: Final = 256
"""Shards that one reader holds open: fewer than the files that a process may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """What a teacher said of n tokens that follow each other; `top_ids` are -1 where an endpoint gave none."""

    own: NDArray[np.float32]  # (n,) log-probability of the token that stands there
    top: NDArray[np.float16]  # (n, K) the largest log-probabilities, descending; -inf where there are fewer
    top_ids: NDArray[np.int32]  # (n, K) the tokens they belong to
    tail: NDArray[np.float32]  # (n,) probability outside of `top`


def key(identity: Mapping[str, Any], prompt: list[int], tokens: list[int], k: int) -> bytes:
    """Return the key of what a teacher says of `tokens` after `prompt`; `identity` names teacher and tokenizer."""
    return content_hash([identity, np.array(prompt).tobytes().hex(), np.array(tokens).tobytes().hex(), k])


class TeacherCache:
    """A folder of shards: keys are 32 bytes; what other processes add is seen after `refresh`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: list[Path] = []
        self._keys: list[NDArray[np.uint8]] = []
        self._open: OrderedDict[int, Any] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, wanted: bytes) -> bool:
        return self._find(wanted) is not None

    def __getitem__(self, wanted: bytes) -> Teaching:
        """Return what was said under a key; raises `NotFoundError`."""
        place = self._find(wanted)
        if place is None:
            raise NotFoundError(f"{self._folder} holds nothing for {wanted.hex()[:12]}…: ask the teachers first")
        shard, row = place
        columns, starts = self._shard(shard)
        rows = slice(int(starts[row]), int(starts[row + 1]))
        return Teaching(**{name: columns.get_slice(name)[rows] for name in Teaching.__slots__})

    def add(self, said: Mapping[bytes, Teaching]) -> None:
        """Write one shard, which is on the disk when this returns."""
        from safetensors.numpy import save

        if not said:
            return
        columns = {name: np.concatenate([getattr(one, name) for one in said.values()]) for name in Teaching.__slots__}
        sizes = [len(one.own) for one in said.values()]
        columns["starts"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        columns["keys"] = np.frombuffer(b"".join(said), dtype=np.uint8).reshape(-1, 32)
        data = save(columns)
        target = self._folder / f"{sha256(data).hex()}.safetensors"
        unfinished = target.with_suffix(f".{os.getpid()}.part")
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(target)
        _sync(self._folder)
        self.refresh()

    def refresh(self) -> None:
        """See the shards that were added since, by this process or another."""
        for path in sorted(set(self._folder.glob("*.safetensors")) - set(self._shards)):
            self._shards.append(path)
            self._keys.append(_opened(path).get_tensor("keys"))
        keys = np.concatenate([np.empty((0, 32), np.uint8), *self._keys])
        heads = np.ascontiguousarray(keys[:, :8]).view(">u8").ravel()
        order = np.argsort(heads, kind="stable")
        sizes = [len(one) for one in self._keys]
        shard = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        row = np.concatenate([np.empty(0, np.int32), *(np.arange(size, dtype=np.int32) for size in sizes)])
        self._sorted, self._places = heads[order].astype(np.uint64), np.stack([shard, row], -1)[order]

    def _find(self, wanted: bytes) -> tuple[int, int] | None:
        """Return shard and row; the first eight bytes of a key are searched, the others compared."""
        head = np.uint64(int.from_bytes(wanted[:8], "big"))
        at = int(np.searchsorted(self._sorted, head))
        while at < len(self._sorted) and self._sorted[at] == head:
            shard, row = (int(part) for part in self._places[at])
            if self._keys[shard][row].tobytes() == wanted:
                return shard, row
            at += 1
        return None

    def _shard(self, number: int) -> tuple[Any, NDArray[np.int64]]:
        if number not in self._open:
            opened = _opened(self._shards[number])
            self._open[number] = (opened, opened.get_tensor("starts"))
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        found: tuple[Any, NDArray[np.int64]] = self._open[number]
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped shards out: a process that loads data maps them itself."""
        return self.__dict__ | {"_open": OrderedDict()}


def _opened(path: Path) -> Any:
    from safetensors import safe_open

    return safe_open(path, framework="numpy")


def _sync(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
