"""Content decides what a file is, never its name."""

import gzip
from pathlib import Path

import pytest

from kat_data.errors import InputError
from kat_data.sources.sniff import Format, sniff

ROW = b'{"question": "a, b"}'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ROW, Format.JSON_LINES),
        (ROW + b"\n" + ROW, Format.JSON_LINES),
        (b"\xef\xbb\xbf" + ROW, Format.JSON_LINES),
        (b"\n\n  " + ROW + b"\r\n", Format.JSON_LINES),
        (b'{"question": "cut\n' + ROW, Format.JSON_LINES),
        (b"not JSON\n" + ROW + b"\n" + ROW, Format.JSON_LINES),
        (b"[1, 2]\n" + ROW, Format.JSON_LINES),
        (b'{"conversations": [{"from": "human", "value": "a"}]}', Format.JSON_LINES),
        (b"", Format.JSON_LINES),
        (b"[" + ROW + b"]", Format.JSON),
        (b"[\n" + ROW + b",\n" + ROW + b"\n]", Format.JSON),
        (b"[" + ROW + b",\n" + ROW + b"]", Format.JSON),
        (b'{\n "examples": [\n' + ROW + b"\n]}", Format.JSON),
        (b'{"canary": "x", "examples": [' + ROW + b"]}", Format.JSON),
        (b"question,answer\na,b\n", Format.CSV),
        (b"question\na\n", Format.CSV),
        (b"question\tanswer\na, b\tc\n", Format.TSV),
        (b"question;answer\na, b;c\n", Format.SEMICOLONS),
        (b"a,b;c\n1,2;3\n", Format.CSV),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_sniff(tmp_path: Path, content: bytes, kind: Format, packed: bool) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    assert sniff(path) is kind


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("text".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04...", "zip"),
        (b"\x28\xb5\x2f\xfd...", "zstd"),
        (b"\x7fELF\x00\x00", "neither text nor Parquet"),
        (gzip.compress(ROW, mtime=0)[:14], "not a whole gzip file"),
    ],
)
def test_foreign_content_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=what):
        sniff(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        sniff(tmp_path / "absent")
    with pytest.raises(InputError, match="directory"):
        sniff(tmp_path)
