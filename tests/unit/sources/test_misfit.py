"""One line says what a file holds and what its preset reads."""

from pathlib import Path

import pytest

from kat_data.domain.bad_line import BadLine
from kat_data.sources.misfit import WANTED, misfit
from kat_data.sources.presets import PRESETS, read_queries


def say(path: Path, content: str, preset: str) -> str:
    path.write_text(content)
    items = list(read_queries(path, preset=preset, source="s", licence="l"))
    bad = [item for item in items if isinstance(item, BadLine)]
    assert len(bad) == len(items)
    return misfit(path, preset, bad[0])


def test_every_preset_says_what_it_wants() -> None:
    assert list(WANTED) == list(PRESETS)


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("frage;antwort\nq;a\n", "frage, antwort"),
        ('{"data": {"rows": [{"question": "q"}], "next": null}}', "data.rows, data.next"),
        ('{broken\n{"q\\nw": 1, "meta": {}}\n', "q w, meta"),
        (",".join(f"c{n}" for n in range(30)) + "\n" + "," * 29, ", ".join(f"c{n}" for n in range(12)) + ", …"),
    ],
)
def test_the_columns_are_named(tmp_path: Path, content: str, columns: str) -> None:
    path = tmp_path / "file"
    line = say(path, content, "mcq")
    wanted = "it wants question; choices or options; answer or correct, or --map (line "
    assert line.startswith(f"no row of {path} fits preset mcq: it has the columns {columns}; {wanted}")
    assert "\n" not in line


def test_a_file_without_a_readable_row_has_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert say(path, "q,a\none\n", "plain") == (
        f"no row of {path} can be read; line 2: 1 fields where the header names 2"
    )
