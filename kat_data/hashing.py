"""Canonical JSON, content hashes and seeded draws: the same inputs give the same bytes on any machine."""

import hashlib
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import orjson

# orjson sorts the keys of mappings alone: dataclasses go through `_mapping`, or hashes would hang on field order.
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


def canonical_json(value: Any) -> bytes:
    """Serialise `value` with sorted keys and no white space, as UTF-8; dataclasses and enums are allowed."""
    return orjson.dumps(value, default=_mapping, option=_CANONICAL)


def _mapping(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _field_names(type(value))}  # type: ignore[arg-type]


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} has no canonical JSON")
    return tuple(field.name for field in fields(kind))


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 digest of `data`."""
    return hashlib.sha256(data).digest()


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
