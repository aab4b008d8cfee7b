"""Bulk import: every row once, whatever happens in between."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kat_data.domain.bad_line import BadLine
from kat_data.domain.category import Category
from kat_data.domain.codec import from_python
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec, query_hash
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import InputError, RegistryError
from kat_data.registry.imports import BAD_LINES_KEPT, ImportReport, Item, import_queries
from kat_data.registry.session import Registry

pytestmark = pytest.mark.integration


def query(text: str, reference: str | None = None, **fields: Any) -> Query:
    message = Message(role=Role.USER, content=text)
    return Query(messages=(message,), category=Category.MATH, source="s", licence="MIT", reference=reference, **fields)


def store(registry: Registry, items: list[Item], *, name: str = "a", **options: Any) -> ImportReport:
    given: dict[str, Any] = {"source": "s", "licence": "MIT", "file_name": f"{name}.jsonl", "preset": "plain"}
    given |= {"fingerprint": name.encode().ljust(32, b"."), "chunk_rows": 3} | options
    return import_queries(registry, iter(items), **given)


def totals(report: ImportReport) -> tuple[int, int, int, int, int]:
    assert report.rows == report.imported + report.duplicates + report.bad
    return report.imported, report.duplicates, report.identical, report.conflicts, report.bad


def texts(registry: Registry) -> list[str]:
    with registry.connection() as connection:
        return [row[0] for row in connection.execute("select messages->0->>'content' from queries order by line")]


def test_stores_what_it_was_given_normalised(registry: Registry) -> None:
    awkward = 'Tab\there, \\x backslash,\n"quotes", \\N, 你好, e\u200b\u0301 \x00!  '
    spec = VerifierSpec(
        kind=VerifierKind.CODE, options={"tests": ["assert f('\\n') == '\\t'"], "setup": "", "entry": "f"}
    )
    tools = ({"type": "function", "function": {"name": "f", "description": "a\\b\n"}},)
    given = query(awkward, "line\none\ttab \\ \x00end", tools=tools, verifier=spec)
    assert totals(store(registry, [(7, given)])) == (1, 0, 0, 0, 0)
    with registry.connection() as connection:
        row = connection.execute(
            "select q.*, s.name as source, s.licence from queries q join sources s on s.id = q.source_id"
        )
        stored = dict(zip([column.name for column in row.description or ()], row.fetchone() or (), strict=True))
    assert stored["messages"] == [{"role": "user", "content": 'Tab\there, \\x backslash,\n"quotes", \\N, 你好, é !'}]
    assert stored["reference"] == "line\none\ttab \\ end"
    assert from_python(VerifierSpec, stored["verifier"]) == spec
    assert stored["tools"] == list(tools)
    assert stored["line"] == 7
    assert (stored["source"], stored["licence"], stored["category"]) == ("s", "MIT", "math")
    assert bytes(stored["hash"]) == given.hash
    again = replace(given, messages=(Message(role=Role.USER, content=stored["messages"][0]["content"]),))
    assert again.hash == given.hash


def test_calls_and_results_of_a_conversation_are_kept(registry: Registry) -> None:
    call = ToolCall(name="f", arguments={"path": "a\\b\n", "n": [1, None]})
    said = (
        Message(role=Role.USER, content="Look."),
        Message(role=Role.ASSISTANT, content=" ", tool_calls=(call,)),
        Message(role=Role.TOOL, content=""),
    )
    given = replace(query("Look."), messages=said)
    assert totals(store(registry, [(1, given), (2, query("Look."))])) == (2, 0, 0, 0, 0)
    with registry.connection() as connection:
        stored = connection.execute("select messages from queries order by line").fetchone()
    assert stored is not None
    messages = from_python(tuple[Message, ...], stored[0])
    assert messages == (said[0], replace(said[1], content=""), said[2])
    assert query_hash(messages, ()) == given.hash


def test_counts_duplicates_within_the_file_and_against_the_registry(registry: Registry) -> None:
    first = [(1, query("a b")), (2, query("a  b")), (3, query("a b")), (4, query("c")), (5, query("a b"))]
    assert totals(store(registry, first)) == (2, 3, 2, 0, 0)
    second = [(1, query("c ")), (2, query("c")), (3, query("d"))]
    assert totals(store(registry, second, name="b")) == (1, 2, 1, 0, 0)
    assert sorted(texts(registry)) == ["a b", "c", "d"]


def test_the_first_of_two_duplicates_is_kept(registry: Registry) -> None:
    store(registry, [(1, query("a  b")), (2, query("a b"))], chunk_rows=100)
    assert texts(registry) == ["a  b"]


def test_conflicting_references_are_noted_and_not_overwritten(registry: Registry) -> None:
    items = [(1, query("q", "1")), (2, query("q", "2")), (3, query("q", "1")), (4, query("q")), (5, query("q", "3"))]
    assert totals(store(registry, items)) == (1, 4, 4, 2, 0)
    with registry.connection() as connection:
        noted = connection.execute("select line, reference from query_conflicts order by line").fetchall()
        assert noted == [(2, "2"), (5, "3")]
        assert connection.execute("select reference from queries").fetchone() == ("1",)


def test_bad_lines_are_counted_and_the_first_hundred_kept(registry: Registry) -> None:
    bad: list[Item] = [BadLine(number=n, reason=f"reason {n}") for n in range(2, 130)]
    report = store(registry, [(1, query("a")), *bad, (130, query("b"))])
    assert totals(report) == (2, 0, 0, 0, 128)
    assert report.bad_lines == tuple(bad[:BAD_LINES_KEPT])
    assert report.bad_codes == {"unreadable": 128}


def test_large_rows_go_in_small_chunks(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kat_data.registry.imports.CHUNK_CHARS", 1000)
    chunks: list[int] = []
    items: list[Item] = [(n, query(f"{n} " + "x" * 700)) for n in range(1, 9)]
    report = store(registry, items, chunk_rows=100, on_progress=chunks.append)
    assert report.imported == 8
    assert chunks == [2, 4, 6, 8]


def test_again_does_nothing_and_says_so(registry: Registry) -> None:
    items: list[Item] = [(1, query("a")), BadLine(number=2, reason="bad"), (3, query("a"))]
    first = store(registry, items)
    again = store(registry, items)
    assert not first.finished_before
    assert replace(again, seconds=first.seconds) == replace(first, finished_before=True)


def test_goes_on_where_the_input_broke_off(registry: Registry) -> None:
    items: list[Item] = [(n, query(f"query {n % 8}")) for n in range(1, 21)]

    def broken() -> Iterator[Item]:
        yield from items[:10]
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        import_queries(
            registry,
            broken(),
            source="s",
            licence="MIT",
            file_name="a",
            preset="plain",
            fingerprint=b"a".ljust(32, b"."),
            chunk_rows=3,
        )
    assert 0 < len(texts(registry)) <= 10
    assert totals(store(registry, items)) == (8, 12, 12, 0, 0)


def test_a_source_keeps_its_licence(registry: Registry) -> None:
    store(registry, [(1, query("a"))])
    with pytest.raises(InputError, match="Source s has licence MIT, not GPL"):
        store(registry, [(1, query("b"))], name="b", licence="GPL")
    assert texts(registry) == ["a"]


def test_one_file_is_imported_by_one_process_at_a_time(registry: Registry) -> None:
    def second(_: int) -> None:
        with pytest.raises(RegistryError, match="by another process"):
            store(registry, [])

    calls = []
    store(registry, [(1, query("a"))], on_progress=lambda rows: calls.append(second(rows)))
    assert calls


def test_two_files_with_the_same_rows_at_once(registry: Registry) -> None:
    """Each row is stored by one of them, and neither waits for the other in a circle."""
    from concurrent.futures import ThreadPoolExecutor

    def load(name: str) -> ImportReport:
        numbers = range(300) if name == "a" else reversed(range(300))
        return store(registry, [(n, query(f"query {n}")) for n in numbers], name=name, chunk_rows=50)

    with ThreadPoolExecutor(2) as threads:
        reports = list(threads.map(load, "ab"))
    assert sum(report.imported for report in reports) == 300 == sum(report.duplicates for report in reports)
    assert len(texts(registry)) == 300


def test_an_empty_file_is_a_finished_import(registry: Registry) -> None:
    assert totals(store(registry, [])) == (0, 0, 0, 0, 0)
    assert store(registry, []).finished_before


def test_plans_know_the_size_of_a_loaded_table(registry: Registry) -> None:
    store(registry, [(n, query(f"query {n}")) for n in range(500)])
    with registry.connection() as connection:
        assert connection.execute("select reltuples from pg_class where relname = 'queries'").fetchone() == (500,)


KILLED = """
import os, signal, sys
from pathlib import Path
from kat_data.registry.imports import import_queries
from kat_data.registry.session import Registry
from kat_data.sources.presets import read_queries

def until(items, last):
    for number, item in enumerate(items):
        if number == last:
            os.kill(os.getpid(), signal.SIGKILL)
        yield item

items = read_queries(Path(sys.argv[2]), preset="plain", source="s", licence="MIT")
report = import_queries(
    Registry(sys.argv[1]), until(items, int(sys.argv[3])), source="s", licence="MIT", file_name="killed",
    preset="plain", fingerprint=b"killed".ljust(32, b"."), chunk_rows=50,
)
print(report.imported, report.duplicates, report.identical, report.conflicts, report.bad)
"""


def test_killed_three_times_then_finished(registry: Registry, tmp_path: Any) -> None:
    lines = [f'{{"question": "Number {n % 1500}?", "answer": "{n}"}}' for n in range(2000)]
    lines[700] = lines[1900] = "broken"
    path = tmp_path / "queries.jsonl"
    path.write_text("\n".join(lines))

    def run(last: int) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", KILLED, registry.url, path, str(last)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    stored = []
    for last in (430, 977, 1821):
        assert run(last).returncode == -9
        stored.append(len(texts(registry)))
    assert 0 < stored[0] < stored[1] < stored[2] <= 1500
    done = run(-1)
    # Number 700 is only in a broken line; 500 numbers come twice, one of them the second time in the other broken line.
    assert done.stdout.split() == ["1499", "499", "499", "499", "2"], done.stderr
    assert len(set(texts(registry))) == 1499


def test_documents_are_kept_and_added_by_a_later_import_of_the_source(registry: Registry) -> None:
    def documents() -> list[str | None]:
        with registry.connection() as connection:
            return [row[0] for row in connection.execute("select document from queries order by line")]

    store(registry, [(1, query("one", document="page\t1")), (2, query("two")), (3, query("three"))])
    assert documents() == ["page\t1", None, None]
    named = [(number, query(text, document="page 2")) for number, text in enumerate(("one", "two", "four"), 1)]
    assert totals(store(registry, named, name="b")) == (1, 2, 2, 0, 0)
    assert documents() == ["page\t1", "page 2", None, "page 2"]
    store(registry, [(3, query("three", document="page 3"))], name="c", source="another")
    assert documents()[2] is None, "another source's pages are none of this one's"
