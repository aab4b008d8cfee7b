"""Records to JSON and back, without loss; the stored form of every domain record."""

from functools import cache
from typing import Any, TypeVar

import orjson

Record = TypeVar("Record")


def to_json(record: Any) -> bytes:
    """Serialise a domain record (dataclass, enum, tuple of them) as JSON."""
    return orjson.dumps(record)


def from_json(kind: type[Record], data: bytes | str) -> Record:
    """Read a record of `kind` back from `to_json`'s bytes; raises `ValueError` where the data does not fit."""
    return _adapter(kind).validate_json(data)  # type: ignore[no-any-return, arg-type]


def from_python(kind: type[Record], value: Any) -> Record:
    """Read a record of `kind` from already decoded JSON; raises `ValueError` where the value does not fit."""
    return _adapter(kind).validate_python(value)  # type: ignore[no-any-return, arg-type]


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
