"""Rows come with their numbers, bad lines with their reasons, and neither loses the others."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kat_data.domain.bad_line import BadLine
from kat_data.errors import InputError
from kat_data.sources.read import read_rows


def read(tmp_path: Path, content: bytes) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    path = tmp_path / "file"
    path.write_bytes(content)
    items = list(read_rows(path))
    rows = dict(item for item in items if not isinstance(item, BadLine))
    bad = {item.number: item.reason for item in items if isinstance(item, BadLine)}
    assert len(rows) + len(bad) == len(items)
    return rows, bad


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_json_lines(tmp_path: Path, start: bytes, end: bytes) -> None:
    lines = [b'{"q": 1}', b"", b'{"q": ', b'{"q": 4}', b"[5]", b"7", b'{"q": "\xff"}', b'{"q": NaN}', b'{"q": 9}']
    rows, bad = read(tmp_path, start + end.join(lines))
    assert rows == {1: {"q": 1}, 4: {"q": 4}, 9: {"q": 9}}
    assert set(bad) == {3, 5, 6, 7, 8}
    assert bad[3].startswith("not JSON: ")
    assert bad[5] == "not a JSON object but a list"


def test_a_bad_first_line(tmp_path: Path) -> None:
    for start in (b"{broken", b"\xef\xbb\xbf{broken", b"\xef\xbb\xbf7"):
        rows, bad = read(tmp_path, start + b'\n{"q": 2}\n{"q": 3}')
        assert (set(rows), set(bad)) == ({2, 3}, {1})
    rows, bad = read(tmp_path, b'\xef\xbb\xbf\n{"q": 2}')
    assert (rows, bad) == ({2: {"q": 2}}, {})


def test_one_line_in_ten_broken_loses_none_of_the_good(tmp_path: Path) -> None:
    lines = ["{oops" if n % 10 == 3 else json.dumps({"n": n}) for n in range(1, 1001)]
    rows, bad = read(tmp_path, "\n".join(lines).encode())
    assert rows == {n: {"n": n} for n in range(1, 1001) if n % 10 != 3}
    assert set(bad) == {n for n in range(1, 1001) if n % 10 == 3}


@pytest.mark.parametrize(
    "content",
    [
        b'[{"q": 1}, {"q": 2}, 3]',
        b'\xef\xbb\xbf[\n  {"q": 1},\n  {"q": 2},\n 3\n]',
        b'{"about": "x",\n "rows": [{"q": 1}, {"q": 2}, 3]}',
    ],
)
def test_json_documents(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == ({1: {"q": 1}, 2: {"q": 2}}, {3: "not a JSON object but a int"})
    assert read(tmp_path, gzip.compress(content))[0] == {1: {"q": 1}, 2: {"q": 2}}


def test_a_single_object_over_several_lines_is_one_row(tmp_path: Path) -> None:
    assert read(tmp_path, b'{\n "q": 1,\n "list": [{"a": 2}]\n}')[0] == {1: {"q": 1, "list": [{"a": 2}]}}


def test_a_broken_document_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not valid JSON"):
        read(tmp_path, b'[\n{"q": 1},\n{"q": \n]')


def test_csv(tmp_path: Path) -> None:
    content = (
        '\ufeffq,a\n"one, ""quoted""\nin two lines",1\n\nshort\nlong,2,3\n"bad" tail,4\ngrün,5\n'.encode()
        + b"\xff,6\nlast,7"
    )
    rows, bad = read(tmp_path, content)
    assert rows == {
        2: {"q": 'one, "quoted"\nin two lines', "a": "1"},
        8: {"q": "grün", "a": "5"},
        10: {"q": "last", "a": "7"},
    }
    assert bad[5] == "1 fields where the header names 2"
    assert bad[6] == "3 fields where the header names 2"
    assert bad[7].startswith("not CSV: ")
    assert bad[9] == "not UTF-8"


def test_tsv_and_cells_longer_than_the_modules_default(tmp_path: Path) -> None:
    rows, bad = read(tmp_path, b"q\ta\n" + b"x" * 200_000 + b"\t1\n")
    assert len(rows[2]["q"]) == 200_000
    assert not bad


def test_semicolons(tmp_path: Path) -> None:
    rows, bad = read(tmp_path, b'q;a\n"one; two";1,5\n')
    assert (rows, bad) == ({2: {"q": "one; two", "a": "1,5"}}, {})


def test_a_cut_gzip_file_keeps_what_can_be_read(tmp_path: Path) -> None:
    import random

    draw = random.Random(1)
    lines = "\n".join(json.dumps({"n": n, "x": draw.random()}) for n in range(1, 5001))
    for content in (lines, "n,x\n" + "\n".join(f"{n},{draw.random()}" for n in range(1, 5001))):
        packed = gzip.compress(content.encode())
        rows, bad = read(tmp_path, packed[: len(packed) * 3 // 4])
        assert 1000 < len(rows) < 5000
        assert bad == {max(rows) + 1: "the compressed file is damaged or cut from here on"}


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"q": f"question {n}", "choices": [{"text": "a"}, {"text": None}], "n": n} for n in range(1, 3001)]
    path = tmp_path / "data.json"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=700)
    assert list(read_rows(path)) == list(enumerate(rows, 1))


def test_broken_parquet_is_refused_with_the_file_named(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 and nothing that follows")
    with pytest.raises(InputError, match=r"data\.parquet is not valid Parquet"):
        list(read_rows(path))
