"""Checkpoints as safetensors files: where each tensor's bytes lie, and deeper checkpoints written from those bytes.

The bytes go from file to file through one small buffer. No tensor is ever made of them, so the memory that this takes
does not grow with the model, and every type of number is kept bit by bit.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

from kat_data.errors import ConfigError

INDEX: Final = "model.safetensors.index.json"
SINGLE: Final = "model.safetensors"
BUFFER: Final = 8 * 2**20
_LENGTH: Final = 8  # bytes of the header's length, at the beginning of a file
_LONGEST_HEADER: Final = 100_000_000  # what the safetensors library takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor and where its bytes lie: `size` bytes of `file` from `start`; no file where only its shape is known."""

    dtype: str
    shape: tuple[int, ...]
    size: int
    file: Path | None = None
    start: int = 0

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tensor to be written: under a name, the bytes of another or zeros in their place."""

    name: str
    tensor: Tensor
    zeroed: bool


def stored_tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of a checkpoint by its name; raises `ConfigError` where files are missing or cut short."""
    tensors: dict[str, Tensor] = {}
    for file in shard_files(folder):
        tensors |= _read_header(file)
    if (folder / INDEX).is_file() and (absent := set(_weight_map(folder)) - set(tensors)):
        raise ConfigError(f"{folder}: {INDEX} names {min(absent)}, which no file holds: the checkpoint is not whole")
    return tensors


def shard_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint in their order; raises `ConfigError` where there is none."""
    if (folder / INDEX).is_file():
        return [folder / name for name in sorted(set(_weight_map(folder).values()))]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    raise ConfigError(f"{folder} has neither {SINGLE} nor {INDEX}: save the model as safetensors first")


def packed(entries: Iterable[Entry], most: int) -> list[tuple[Entry, ...]]:
    """Split the entries, in their order, into shards of at most `most` bytes; a larger tensor has one of its own."""
    shards: list[list[Entry]] = [[]]
    size = 0
    for entry in entries:
        if shards[-1] and size + entry.tensor.size > most:
            shards.append([])
            size = 0
        shards[-1].append(entry)
        size += entry.tensor.size
    return [tuple(shard) for shard in shards if shard]


def write_checkpoint(folder: Path, shards: Sequence[Sequence[Entry]], progress: Callable[[int], None]) -> None:
    """Write the shards and their index; a shard that is there already is whole, and is left as it is.

    `progress` is told of bytes as they are written, or found to be.
    """
    total = len(shards)
    names = [SINGLE] if total == 1 else [f"model-{n:05}-of-{total:05}.safetensors" for n in range(1, total + 1)]
    for name, shard in zip(names, shards, strict=True):
        if (folder / name).exists():
            progress(sum(entry.tensor.size for entry in shard))
        else:
            _write_shard(folder / name, shard, progress)
    if total > 1:
        weight_map = {entry.name: name for name, shard in zip(names, shards, strict=True) for entry in shard}
        tensors = [entry.tensor for shard in shards for entry in shard]
        metadata = {"total_parameters": sum(t.parameters for t in tensors), "total_size": sum(t.size for t in tensors)}
        index = {"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _write_shard(file: Path, entries: Sequence[Entry], progress: Callable[[int], None]) -> None:
    """Write one file; it has its name when all of it is on the disk."""
    unfinished = file.with_suffix(".unfinished")
    with unfinished.open("wb") as out:
        out.write(_header(entries))
        for entry in entries:
            if entry.zeroed:
                _write_zeros(out, entry.tensor.size)
            else:
                _copy_bytes(entry.tensor, out)
            progress(entry.tensor.size)
        out.flush()
        os.fsync(out.fileno())
    unfinished.rename(file)


def _header(entries: Iterable[Entry]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for entry in entries:
        begin, end = end, end + entry.tensor.size
        header[entry.name] = {"dtype": entry.tensor.dtype, "shape": entry.tensor.shape, "data_offsets": [begin, end]}
    data = json.dumps(header, separators=(",", ":")).encode()
    data += b" " * (-len(data) % _LENGTH)  # tensors begin at a multiple of 8 bytes
    return len(data).to_bytes(_LENGTH, "little") + data


def _copy_bytes(tensor: Tensor, out: BinaryIO) -> None:
    if tensor.file is None:
        raise ValueError("the tensor has a shape and no bytes")
    buffer = memoryview(bytearray(min(BUFFER, tensor.size)))
    left = tensor.size
    with tensor.file.open("rb", buffering=0) as file:
        file.seek(tensor.start)
        while left:
            read = file.readinto(buffer[: min(left, len(buffer))])
            if not read:
                raise ConfigError(f"{tensor.file} became shorter while it was read")
            out.write(buffer[:read])
            left -= read


def _write_zeros(out: BinaryIO, size: int) -> None:
    zeros = memoryview(bytes(min(BUFFER, size)))
    while size:
        size -= out.write(zeros[: min(size, len(zeros))])


def _read_header(file: Path) -> dict[str, Tensor]:
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_LENGTH), "little")
            header = json.loads(opened.read(length)) if length <= _LONGEST_HEADER else None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ConfigError(f"{file} is no safetensors file, or is cut short")
    header.pop("__metadata__", None)
    tensors = {name: _tensor(file, _LENGTH + length, found) for name, found in header.items()}
    end = max((tensor.start + tensor.size for tensor in tensors.values()), default=_LENGTH + length)
    if (size := file.stat().st_size) != end:
        raise ConfigError(f"{file} has {size:,} bytes of {end:,}: fetch it again")
    return tensors


def _tensor(file: Path, data: int, found: Mapping[str, Any]) -> Tensor:
    begin, end = found["data_offsets"]
    return Tensor(dtype=found["dtype"], shape=tuple(found["shape"]), size=end - begin, file=file, start=data + begin)


def _weight_map(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder / INDEX} is no index of safetensors files") from None
    return found
