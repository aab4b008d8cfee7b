"""`kat queries import` on files that do not fit, that came before, and without a name."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

OPTIONS = ("--source", "sums", "--licence", "MIT")


@pytest.mark.parametrize("option", ["--source", "--licence"])
@pytest.mark.parametrize("value", ["", " \t"])
def test_source_and_licence_are_words(kat, questions: Path, option: str, value: str) -> None:
    options = [*OPTIONS, option, value]
    assert f"{option} is empty" in kat.error("queries", "import", questions, "--preset", "gsm8k", *options, code=2)
    assert kat.json("queries", "list", "--json") == []


def test_a_word_in_a_mapping_is_checked_before_anything_is_imported(kat, questions: Path) -> None:
    arguments = ("queries", "import", questions, "--preset", "plain", *OPTIONS, "--map", "verifier==math2")
    assert kat.error(*arguments, code=2) == "--map verifier==math2: there is no verifier math2; math?"
    assert kat.json("queries", "list", "--json") == []


def test_a_file_of_which_no_row_fits_fails_with_one_line(kat, questions: Path) -> None:
    arguments = ("queries", "import", questions, "--preset", "mcq", *OPTIONS)
    said = kat(*arguments, code=2)
    assert said.err.splitlines()[-1].startswith(
        f"kat: no row of {questions} fits preset mcq: it has the columns question, answer; it wants question; choices"
    )
    assert len([line for line in said.err.splitlines() if "choices" in line]) == 1
    assert kat.json(*arguments, "--json", code=2)["bad"] == 14


def test_rows_whose_verifier_has_no_reference_are_bad_lines(kat, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question;verifier;answer\nOne?;math;1\nTwo?;math;\nThree?;;\n")
    document = kat.json("queries", "import", path, "--preset", "plain", *OPTIONS, "--json")
    assert (document["imported"], document["bad"]) == (2, 1)
    assert document["bad_lines"][0]["number"] == 3
    assert document["bad_lines"][0]["reason"].startswith("verifier math needs a reference")


def test_a_second_import_says_that_nothing_was_done(kat, questions: Path) -> None:
    arguments = ("queries", "import", questions, "--preset", "gsm8k", *OPTIONS)
    first, second = kat(*arguments), kat(*arguments)
    assert "imported before" in first.out
    assert re.search(r" no +\d+\.\d\d\b", first.out)
    assert re.search(r" yes +\d+\.\d\d\b", second.out)
    assert "was imported before: nothing was done now" in second.err
    assert "imported before" not in first.err
    assert kat.json(*arguments, "--json")["finished_before"] is True
