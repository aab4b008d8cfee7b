"""Rows of a file, one after the other; what cannot be read as a row is a `BadLine`, and the rest goes on."""

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from kat_data.domain.bad_line import BadLine
from kat_data.errors import InputError
from kat_data.sources.sniff import BOM, CONTAINERS, DELIMITERS, Format, open_plain, sniff

Row = tuple[int, dict[str, Any]]
_CUT = (EOFError, zlib.error, gzip.BadGzipFile)
_PARQUET_BATCH = 1024


def read_rows(path: Path) -> Iterator[Row | BadLine]:
    """Yield (number, row) for each row of the file.

    Numbers count from 1: lines in JSON Lines and CSV, rows in JSON and Parquet.
    Memory stays flat for JSON Lines, CSV and Parquet; a JSON document is read whole.
    Raises `InputError` where the file as a whole cannot be read.
    """
    kind = sniff(path)
    if kind is Format.PARQUET:
        return _parquet(path)
    if kind is Format.JSON:
        return _document(path)
    if kind is Format.JSON_LINES:
        return _json_lines(path)
    return _separated(path, DELIMITERS[kind])


def _json_lines(path: Path) -> Iterator[Row | BadLine]:
    loads = orjson.loads
    number = 0
    with open_plain(path) as file:
        try:
            for number, line in enumerate(file, start=1):
                try:
                    row = loads(line)
                except orjson.JSONDecodeError as error:
                    text = line.removeprefix(BOM) if number == 1 else line
                    if text is not line or not text.strip():
                        yield from _first_line(text)
                    else:
                        yield BadLine(number=number, reason=f"not JSON: {error.msg}")
                    continue
                yield (number, row) if type(row) is dict else _no_object(number, row)
        except _CUT:
            yield _cut(number + 1)


def _first_line(text: bytes) -> Iterator[Row | BadLine]:
    """Read a first line without its byte order mark; a blank line is no row."""
    if not text.strip():
        return
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        yield BadLine(number=1, reason=f"not JSON: {error.msg}")
        return
    yield (1, row) if isinstance(row, dict) else _no_object(1, row)


def _no_object(number: int, value: Any) -> BadLine:
    return BadLine(number=number, reason=f"not a JSON object but a {type(value).__name__}")


def _cut(number: int) -> BadLine:
    return BadLine(number=number, reason="the compressed file is damaged or cut from here on")


def _document(path: Path) -> Iterator[Row | BadLine]:
    with open_plain(path) as file:
        try:
            value = orjson.loads(file.read().removeprefix(BOM))
        except orjson.JSONDecodeError as error:
            raise InputError(
                f"{path} is not valid JSON: {error}. As JSON Lines, its good rows could be read."
            ) from error
        except _CUT as error:
            raise InputError(f"{path} is damaged or cut: {error}") from error
    for number, row in enumerate(_rows_within(value), start=1):
        yield (number, row) if isinstance(row, dict) else _no_object(number, row)


def _rows_within(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return next((value[name] for name in CONTAINERS if isinstance(value.get(name), list)), [value])


def _separated(path: Path, delimiter: str) -> Iterator[Row | BadLine]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with open_plain(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        number = 1
        while True:
            number = reader.line_num + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadLine(number=number, reason=f"not CSV: {error}")
                continue
            except _CUT:
                yield _cut(number)
                return
            if header is None:
                header = record
            elif record:
                yield _record(number, header, record)


def _record(number: int, header: list[str], record: list[str]) -> Row | BadLine:
    if len(record) != len(header):
        return BadLine(number=number, reason=f"{len(record)} fields where the header names {len(header)}")
    try:
        "".join(record).encode()
    except UnicodeEncodeError:
        return BadLine(number=number, reason="not UTF-8")
    return number, dict(zip(header, record, strict=True))


def _parquet(path: Path) -> Iterator[Row | BadLine]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not valid Parquet: {error}") from error
    number = 0
    with file:
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (pa.ArrowException, OSError) as error:
            yield BadLine(number=number + 1, reason=f"Parquet is damaged from here on: {error}")
