"""Structured logs: one line an event, with what it happened to, and without what must not be written."""

import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from kat_data import logs
from kat_data.logs import Seldom, bound, configure, note
from kat_data.redaction import hide

LOG = logging.getLogger("kat_data.test_logs")


@pytest.fixture
def logged() -> Iterator[Callable[..., io.StringIO]]:
    """Configure logs into a text, and take them off again."""
    root, ours = logging.getLogger(), logging.getLogger("kat_data")
    before = (root.handlers[:], ours.level)

    def start(form: str = "json", level: str = "info") -> io.StringIO:
        stream = io.StringIO()
        configure(form, level, stream)
        return stream

    yield start
    root.handlers[:] = before[0]
    ours.setLevel(before[1])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_has_its_fields_and_those_of_its_place(logged: Callable[..., io.StringIO]) -> None:
    stream = logged()
    with bound(run=3, query=lambda: "ab12"), bound(stage="verify"):
        note(LOG, logging.WARNING, "item.failed", attempts=2)
    note(LOG, logging.INFO, "run.finished")
    failed, finished = lines(stream)
    assert failed.pop("time").endswith("Z")
    assert failed == {
        "level": "warning",
        "event": "item.failed",
        "run": 3,
        "query": "ab12",
        "stage": "verify",
        "attempts": 2,
    }
    assert (finished["event"], finished.get("run")) == ("run.finished", None)


async def test_tasks_keep_their_own_place(logged: Callable[..., io.StringIO]) -> None:
    stream = logged()
    both = asyncio.Barrier(2)

    async def work(query: str) -> None:
        with bound(query=query):
            await both.wait()
            note(LOG, logging.INFO, "tried", own=query)

    await asyncio.gather(work("a"), work("b"))
    assert {(line["query"], line["own"]) for line in lines(stream)} == {("a", "a"), ("b", "b")}


def test_an_error_gives_its_name_and_place_and_not_what_it_quotes(logged: Callable[..., io.StringIO]) -> None:
    stream = logged()
    try:
        raise ValueError("the prompt was: tell me everything")
    except ValueError as error:
        note(LOG, logging.ERROR, "item.dead", error=error)
    [line] = lines(stream)
    assert line["error"] == "ValueError"
    assert line["raised_at"].startswith("test_logs.py:")
    assert "everything" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_lines_are_redacted_whoever_writes_them(form: str, logged: Callable[..., io.StringIO]) -> None:
    stream = logged(form)
    hide("a-very-secret-value")
    note(LOG, logging.INFO, "call.failed", reason="the key a-very-secret-value is bad")
    try:
        raise RuntimeError("Authorization: Bearer a-very-secret-value")
    except RuntimeError:
        logging.getLogger("aiohttp").exception("it broke with %s", "a-very-secret-value")
    assert "secret" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 3


def test_text_is_one_line_an_event(logged: Callable[..., io.StringIO]) -> None:
    stream = logged("text")
    note(LOG, logging.INFO, "run.stopped", run=3, reason="two words\nand a line", seconds=1.23456)
    [line] = stream.getvalue().splitlines()
    assert line.partition("Z ")[2] == r"INFO    run.stopped run=3 reason='two words\nand a line' seconds=1.235"


def test_off_and_auto_leave_other_libraries_warnings_alone(logged: Callable[..., io.StringIO]) -> None:
    for form in ("off", "auto"):
        stream = logged(form)
        note(LOG, logging.ERROR, "item.dead")
        logging.getLogger("asyncio").warning("a slow callback")
        logging.getLogger("asyncio").info("nothing to say")
        [line] = stream.getvalue().splitlines()
        assert line.endswith("log logger=asyncio message='a slow callback'")


def test_the_level_is_ours_alone(logged: Callable[..., io.StringIO]) -> None:
    stream = logged("json", "debug")
    note(LOG, logging.DEBUG, "stage.tried")
    logging.getLogger("sqlalchemy.engine").debug("a row with a prompt")
    assert [line["event"] for line in lines(stream)] == ["stage.tried"]


def test_seldom_counts_what_it_keeps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    seldom = Seldom(10.0)
    assert [seldom("a"), seldom("a"), seldom("b"), seldom("a")] == [1, 0, 1, 0]
    now = 111.0
    assert [seldom("a"), seldom("a")] == [3, 0]
