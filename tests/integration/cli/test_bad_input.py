"""Bad input from end to end: each kind has its code, at import or in the funnel, and nothing is silently missing."""

from pathlib import Path
from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.integration

TOOL = {"type": "function", "function": {"name": "f"}}
LINES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"messages": [{"role": "assistant", "content": "Hi"}]}, "no_user_turn"),
    ({"question": "Call it.", "tools": [TOOL]}, "tool_without_schema"),
    ({"question": "x" * 1_000_001}, "too_long"),
    ({"question": "Solve \frac{1}{2}."}, "damaged_text"),
    ({"question": "x \uf0b3 5"}, "damaged_text"),
    ({"answer": "5"}, "misfit"),
)
QUERIES: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({"question": "word " * 190_000}, "too_long"),
    ({"question": "What does <think_on> do?"}, "reserved_tag"),
    ({"question": "\u200b"}, "empty_query"),
    ({"question": "Say \u202ehello\u202c\x00!"}, None),
)


@pytest.fixture
def bad_file(tmp_path: Path) -> Path:
    path = tmp_path / "bad.jsonl"
    lines = [orjson.dumps(row) for row, _ in (*LINES, *QUERIES)]
    path.write_bytes(b"\n".join([*lines, b'{"question": "half a li']))
    return path


def import_(kat: Any, path: Path, licence: str = "MIT") -> Any:
    options = ("--preset", "plain", "--source", path.stem, "--licence", licence, "--json")
    return kat.json("queries", "import", path, *options)


def test_lines_that_hold_no_query_are_counted_by_code(kat, bad_file: Path) -> None:
    document = import_(kat, bad_file)
    once = dict.fromkeys(("unreadable", "no_user_turn", "tool_without_schema", "too_long", "misfit"), 1)
    expected = once | {"damaged_text": 2}
    assert (document["imported"], document["bad_codes"]) == (len(QUERIES), expected)
    assert [line["code"] for line in document["bad_lines"]] == [*(code for _, code in LINES), "unreadable"]
    again = import_(kat, bad_file)
    assert (again["finished_before"], again["bad_codes"]) == (True, expected)
    assert again["bad_lines"] == document["bad_lines"]
    said = kat("queries", "import", bad_file, "--preset", "plain", "--source", "bad", "--licence", "MIT").err
    assert "2 × damaged_text: The text lost characters on its way" in said


def test_queries_that_no_run_can_answer_leave_it_with_a_code(kat, bad_file: Path, endpoint, write_recipe) -> None:
    import_(kat, bad_file)
    found = kat.json("run", write_recipe(endpoint.url), "--json")
    at_normalise = {entry["reason"]: entry["items"] for entry in found["funnel"] if entry["stage"] == "normalise"}
    assert at_normalise == {"too_long": 1, "reserved_tag": 1, "empty_query": 1}
    [whole] = kat.json("samples", "list", "--json")
    assert whole["sample"]["turns"][0]["user"] == "Say hello!"


@pytest.fixture
def three_licences(kat, tmp_path: Path) -> None:
    for name, licence in (("free", "Apache License 2.0"), ("open", "mit"), ("closed", "CC-BY-NC-4.0")):
        path = tmp_path / f"{name}.jsonl"
        rows = [{"question": f"What is {n} + {n}, {name}?"} for n in range(2)]
        path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
        import_(kat, path, licence)


def test_a_run_takes_allowed_licences_and_counts_the_others(kat, three_licences, endpoint, write_recipe) -> None:
    recipe = write_recipe(endpoint.url)
    found = kat.json("run", recipe, "--licence-allow", "apache-2.0, MIT", "--json")
    left = {"reason": "licence_not_allowed", "source": "closed", "licence": "CC-BY-NC-4.0", "queries": 2}
    assert (found["queries"], found["left_out"]) == (4, [left])
    said = kat("run", recipe, "--licence-allow", "apache-2.0,MIT")
    assert "left out: 2 queries of closed, whose licence CC-BY-NC-4.0 is not allowed" in said.err
    assert "closed: CC-BY-NC-4.0" in said.out
    assert kat.json("runs", "show", found["run"], "--json")["left_out"] == [left]


def test_a_recipe_names_the_licences_itself_and_the_option_replaces_them(
    kat, three_licences, endpoint, write_recipe
) -> None:
    recipe = write_recipe(endpoint.url, queries={"licences": ["MIT"]})
    assert kat.json("run", recipe, "--json")["queries"] == 2
    preview = kat.json("run", recipe, "--licence-allow", "Apache-2.0,mit", "--preview", 1, "--json")
    assert (preview["queries"], preview["extrapolated"]["queries"]) == (1, 4)


def test_licences_that_no_source_has_are_one_clear_line(kat, three_licences, endpoint, write_recipe) -> None:
    recipe = write_recipe(endpoint.url)
    line = kat.error("run", recipe, "--licence-allow", "gpl-3.0", code=2)
    assert line.startswith("the registry holds no query with licences gpl-3.0: those that it has are under Apache")
    assert "names no licence" in kat.error("run", recipe, "--licence-allow", " , ", code=2)
