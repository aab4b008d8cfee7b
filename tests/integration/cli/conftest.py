"""`kat` as a shell calls it, in this process, and a scripted endpoint in another."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from kat_data.cli.main import main
from kat_data.registry.session import Registry
from kat_data.testing.endpoint import Endpoint, serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command printed."""

    out: str
    err: str


class Shell:
    """Runs `kat` with arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object, code: int = 0) -> Said:
        """Run a command that has to exit with `code`."""
        self._monkeypatch.setattr(sys, "argv", ["kat", *map(str, arguments)])
        self._capsys.readouterr()
        ended = 0
        try:
            main()
        except SystemExit as error:
            ended = error.code
        out, err = self._capsys.readouterr()
        assert ended == code, err
        return Said(out=out, err=err)

    def json(self, *arguments: object, code: int = 0) -> Any:
        """Run a command and return the one JSON document on its stdout."""
        return orjson.loads(self(*arguments, code=code).out)

    def error(self, *arguments: object, code: int, reports: bool = False) -> str:
        """Run a command that fails, and return the one line of its error; a run that stops reports all the same."""
        said = self(*arguments, code=code)
        assert bool(said.out) is reports
        last = said.err.splitlines()[-1]
        assert last.startswith("kat: ")
        assert said.err.count("kat: ") == 1
        assert "Traceback" not in said.err
        return last.removeprefix("kat: ")


@pytest.fixture
def kat(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Shell:
    """The shell, on a registry and in a folder of the test's own."""
    monkeypatch.setenv("KAT_DATABASE_URL", registry.url)
    monkeypatch.setenv("KAT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Shell(monkeypatch, capsys)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def slow_endpoint() -> Iterator[Endpoint]:
    with serving("--latency", 0.1) as endpoint:
        yield endpoint


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Write a recipe of few calls for an endpoint; options change its parts."""

    def write(url: str, **parts: Any) -> Path:
        roles = ("voters", "responder", "reasoner", "panel", "judge")
        plain = {
            "name": "small",
            "seed": 5,
            "endpoints": {"scripted": {"url": url, "concurrency": 8, "retries": 0}},
            "models": {"one": {"endpoint": "scripted", "model": "scripted", "price": {"prompt": 1, "completion": 2}}},
            "roles": {role: [{"model": "one", "max_tokens": 200}] for role in roles},
            "stages": [
                "normalise",
                "vote_mode",
                {"sample_off": {"k": 2}},
                {"sample_on": {"k": 2}},
                "verify",
                "judge_mode",
            ],
        }
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(plain | parts))
        return path

    return write


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """A file of a dozen sums, two of them equal, and one line that is no JSON."""
    rows = [{"question": f"What is {n} + {n}?", "answer": f"So it is.\n#### {2 * n}"} for n in range(12)]
    lines = [orjson.dumps(row).decode() for row in [*rows, rows[0]]]
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join([*lines[:5], '{"question": "half a li', *lines[5:]]))
    return path
