"""Canonical JSON, content hashes and seeded draws: the same inputs give the same bytes on any machine."""

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

ADDED_LATER: Mapping[str, bool] = MappingProxyType({"added_later": True})
"""Metadata of a dataclass field that was added after hashes were stored.

While it holds its default it is no part of the canonical form, so that old hashes and call keys stay what they are.
"""

# orjson sorts the keys of mappings alone: dataclasses go through `_mapping`, or hashes would hang on field order.
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


def canonical_json(value: Any) -> bytes:
    """Serialise `value` with sorted keys and no white space, as UTF-8; dataclasses and enums are allowed."""
    return orjson.dumps(value, default=_mapping, option=_CANONICAL)


def _mapping(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    always, later = _field_names(kind)
    mapping = {name: getattr(value, name) for name in always}
    for name, default in later:
        if (held := getattr(value, name)) != default:
            mapping[name] = held
    return mapping


@cache
def _field_names(kind: type) -> tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]:
    """Return the fields that always count, and those added later with their defaults."""
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} has no canonical JSON")
    always = tuple(field.name for field in fields(kind) if not field.metadata.get("added_later"))
    later = tuple((field.name, _default(field)) for field in fields(kind) if field.metadata.get("added_later"))
    if any(default is MISSING for _, default in later):
        raise TypeError(f"a field of {kind.__name__} that was added later has no default")
    return always, later


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 digest of `data`."""
    return hashlib.sha256(data).digest()


def file_sha256(path: Path) -> bytes:
    """Return the SHA-256 digest of a file's bytes, in little memory; raises `OSError` where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def content_hash(value: Any) -> bytes:
    """Return the SHA-256 digest of the canonical JSON of `value`."""
    return sha256(canonical_json(value))


def fraction(seed: int, *parts: str | bytes) -> float:
    """Draw a number in [0, 1) that depends on `seed` and `parts` alone."""
    return (draw(seed, *parts) >> 11) / 2**53  # as many bits as a float holds, or the largest draws would be 1.0


def draw(seed: int, *parts: str | bytes) -> int:
    """Draw an unsigned 64-bit integer that depends on `seed` and `parts` alone."""
    digest = hashlib.sha256(str(seed).encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return int.from_bytes(digest.digest()[:8], "big")
