"""What a file holds, decided by its content: suffixes lie."""

import gzip
import io
from enum import StrEnum
from pathlib import Path
from typing import cast

import orjson

from kat_data.errors import InputError

BOM = b"\xef\xbb\xbf"
CONTAINERS = ("data", "rows", "examples", "records", "items")
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_SAMPLE_LINES = 20
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it",
    b"BZh": "compressed by bzip2: unpack it",
}


class Format(StrEnum):
    """How rows lie in a file; `json` is one document with a list of rows in it."""

    JSON = "json"
    JSON_LINES = "json_lines"
    CSV = "csv"
    TSV = "tsv"
    SEMICOLONS = "semicolons"
    PARQUET = "parquet"


DELIMITERS = {Format.CSV: ",", Format.TSV: "\t", Format.SEMICOLONS: ";"}


def open_plain(path: Path) -> io.BufferedReader:
    """Open a file for reading bytes, unpacked if it is gzip; raises `InputError` where it cannot be opened."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if not raw.peek(len(_GZIP)).startswith(_GZIP):
        return raw
    raw.close()
    return cast(io.BufferedReader, gzip.open(path))  # it reads, peeks and closes as one


def sniff(path: Path) -> Format:
    """Return the format of the file's content; raises `InputError` where it is none of ours."""
    with open_plain(path) as file:
        try:
            head = file.peek(8)[:8]
            if head.startswith(_PARQUET):
                return Format.PARQUET
            _refuse_foreign(path, head)
            return _by_lines(_first_lines(file))
        except (EOFError, gzip.BadGzipFile) as error:
            raise InputError(f"{path} is not a whole gzip file: {error}") from error


def _refuse_foreign(path: Path, head: bytes) -> None:
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"{path} is {what}.")
    if b"\0" in head:
        raise InputError(f"{path} is neither text nor Parquet.")


def _first_lines(file: io.BufferedReader) -> list[bytes]:
    lines: list[bytes] = []
    for line in file:
        if stripped := line.removeprefix(BOM).strip():
            lines.append(stripped)
        if len(lines) == _SAMPLE_LINES:
            break
    return lines


def _by_lines(lines: list[bytes]) -> Format:
    if not lines:
        return Format.JSON_LINES
    first = lines[0]
    if first.startswith((b"[", b"{")):
        return Format.JSON if _is_document(first, alone=len(lines) == 1) else Format.JSON_LINES
    if sum(line.startswith(b"{") for line in lines) * 2 > len(lines):
        return Format.JSON_LINES
    return max(DELIMITERS, key=lambda kind: first.count(DELIMITERS[kind].encode()))


def _is_document(first: bytes, *, alone: bool) -> bool:
    """Tell a JSON document from JSON Lines by its first line; a broken first line of JSON Lines is no document."""
    try:
        value = orjson.loads(first)
    except orjson.JSONDecodeError:
        return first.startswith(b"[") or first.endswith((b"{", b"[", b","))
    if isinstance(value, list):
        return alone
    return alone and any(_is_rows(value.get(name)) for name in CONTAINERS)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
