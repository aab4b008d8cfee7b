"""Bars that are told: on a terminal alone, and not before there is something to tell."""

import pytest

from kat_data.cli.tracked import counting, rows_bar


def told() -> None:
    with counting("files") as count:
        count(1, 2)
    with rows_bar("sums") as tell:
        tell("written", 3, 8)


def test_nothing_of_a_bar_goes_into_a_pipe(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    told()
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_what_is_told(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which the library takes any file for a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    told()
    shown = capfd.readouterr().err
    assert "files" in shown
    assert "sums: written rows" in shown
    assert "3/8" in shown


def test_nothing_is_shown_before_something_is_told(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with counting("files"), rows_bar("sums"):
        pass
    assert capfd.readouterr() == ("", "")
