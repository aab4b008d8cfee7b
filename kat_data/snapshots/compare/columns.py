"""The columns by which two snapshots are compared, as arrays: some 100 bytes a row, and no Python object for any."""

import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kat_data.errors import SnapshotError
from kat_data.snapshots.manifest import Shard
from kat_data.snapshots.read import Snapshot

HASH_BYTES: Final = 32
_HASHES: Final = ("id", "query", "lineage")
_NAMES: Final = ("category", "domain", "mode", "source", "licence")
_NUMBERS: Final = ("difficulty", "pass_rate")
_VERDICT: Final = "verdict"
LABELS: Final[tuple[str, ...]] = (*_NAMES, *_NUMBERS, _VERDICT, "split", "lineage")
"""What may differ of one and the same sample; a snapshot has those that its stage and its schema know."""

_BATCH: Final = 65_536

Array = NDArray[Any]
Vocabulary = dict[str, int]
"""A number for every text of the snapshots that are compared with one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Rows by their places: hashes as 32 bytes each, texts as numbers of a vocabulary, no number as NaN."""

    id: Array
    query: Array
    labels: dict[str, Array]


def read_columns(snapshot: Snapshot, words: Vocabulary) -> Columns:
    """Read one snapshot; raises `SnapshotError` where a shard was changed or does not hold what the manifest says."""
    rows, read = snapshot.manifest.hashed.rows, 0
    columns: dict[str, Array] = {}
    for shard in snapshot.manifest.hashed.shards:
        for arrays in _parts(snapshot.path, shard, words):
            columns = columns or {name: np.empty(rows, found.dtype) for name, found in arrays.items()}
            part = slice(read, read := read + len(arrays["id"]))
            if read > rows or columns.keys() != arrays.keys():
                raise _unlike(snapshot)
            for name, found in arrays.items():
                columns[name][part] = found
    if read != rows:
        raise _unlike(snapshot)
    labels = {name: columns[name] for name in LABELS if name in columns}
    return Columns(id=columns["id"], query=columns["query"], labels=labels)


def _unlike(snapshot: Snapshot) -> SnapshotError:
    return SnapshotError(f"{snapshot.path} does not hold what its manifest says: `kat snapshots verify` says why")


def numbered(old: Array, new: Array) -> tuple[Array, Array]:
    """Return a number for each hash of two arrays, the same for the same hash and for no other."""
    hashes = np.concatenate([old, new])
    for key in (_first_bytes(hashes), hashes):  # whole hashes take ten times as long, and are hardly ever needed
        _, first, numbers = np.unique(key, return_index=True, return_inverse=True)
        if np.array_equal(hashes[first[numbers]], hashes):
            break
    return numbers[: len(old)], numbers[len(old) :]


def _first_bytes(hashes: Array) -> Array:
    """Return the first 8 bytes of each hash: enough to tell one from another, unless there are billions."""
    return np.ascontiguousarray(hashes.view(np.uint64).reshape(-1, HASH_BYTES // 8)[:, 0])


def _parts(folder: Path, shard: Shard, words: Vocabulary) -> Iterator[dict[str, Array]]:
    path = folder / shard.path
    try:
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if digest != shard.sha256:
            raise SnapshotError(f"{path} was changed after it was written: its sha256 does not match")
        with pq.ParquetFile(path, read_dictionary=_NAMES) as file:
            wanted = [name for name in (*_HASHES, *LABELS) if name in file.schema_arrow.names]
            for batch in file.iter_batches(_BATCH, columns=wanted):
                yield _arrays(batch, words) | {"split": _constant(shard.split, batch.num_rows, words)}
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise SnapshotError(f"{path} cannot be compared, as its columns are not a snapshot's: {error}") from error


def _arrays(batch: pa.RecordBatch, words: Vocabulary) -> dict[str, Array]:
    arrays: dict[str, Array] = {name: _hashes(batch[name]) for name in ("id", "query")}
    arrays["lineage"] = _first_bytes(_hashes(batch["lineage"]))
    arrays |= {name: _coded(batch[name], words) for name in _NAMES}
    present = set(batch.schema.names)
    arrays |= {name: batch[name].to_numpy(zero_copy_only=False) for name in _NUMBERS if name in present}
    if _VERDICT in present:
        arrays[_VERDICT] = _coded(_joined(batch[_VERDICT]), words)
    return arrays


def _hashes(column: pa.StringArray) -> Array:
    """Return SHA-256 digests from their hex; raises `ValueError` where they are none."""
    if column.null_count or not pc.all(pc.equal(pc.binary_length(column), 2 * HASH_BYTES)).as_py():
        raise ValueError("a hash is not 64 hexadecimal digits")
    _, offsets, data = column.buffers()
    start, end = (np.frombuffer(offsets, np.int32)[column.offset + place] for place in (0, len(column)))
    return np.frombuffer(binascii.unhexlify(memoryview(data)[start:end]), f"S{HASH_BYTES}")


def _coded(column: pa.Array, words: Vocabulary) -> Array:
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    codes = [words.setdefault(word, len(words)) for word in column.dictionary.to_pylist()]
    missing = len(codes)
    table: Array = np.array([*codes, -1], np.int32)
    found: Array = table[column.indices.fill_null(missing).to_numpy(zero_copy_only=False)]
    return found


def _joined(verdicts: pa.StructArray) -> pa.Array:
    """Return a text for each verdict, null where nobody judged."""
    parts = [pc.struct_field(verdicts, name) for name in ("verifier", "outcome", "status")]
    joined = pc.binary_join_element_wise(*parts, " ", null_handling="replace", null_replacement="-")
    return pc.if_else(pc.is_valid(verdicts), joined, pa.scalar(None, pa.string()))


def _constant(word: str, rows: int, words: Vocabulary) -> Array:
    return np.full(rows, words.setdefault(word, len(words)), np.int32)
