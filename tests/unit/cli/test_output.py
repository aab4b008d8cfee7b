"""What commands write: readable sums, text that a terminal shows and does not obey, calls that work."""

import sys
from pathlib import Path

import orjson
import pytest

from kat_data.cli.output import print_json, print_table, printable, program, rounded, usd
from kat_data.cli.report import print_report
from kat_data.cli.samples import print_message


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.5, "$0.5000"), (0.012345, "$0.0123"), (0.00012345, "$0.000123"),
     (0.0000078, "$0.00000780")],
)  # fmt: skip
def test_small_sums_keep_three_digits(amount, text) -> None:
    assert usd(amount) == text


def test_money_is_rounded_to_a_billionth_and_nothing_else() -> None:
    row = {"usd": 0.1 + 0.2, "usd_lost": None, "difficulty": 0.1 + 0.2, "tokens": 3}
    assert rounded(row) == row | {"usd": 0.3}


@pytest.mark.parametrize("hidden", ["\u202e", "\x1b", "\r", "\x9b", "\u2066", "\x00"])
def test_no_character_that_a_terminal_obeys_gets_through(capsys, hidden) -> None:
    text = f"a{hidden}[31mb"
    print_table(["answer"], [[text]])
    print_message({"role": "user", "content": text})
    out = capsys.readouterr().out
    assert hidden not in out
    assert out.count(printable(text)) == 2
    assert printable(text).isprintable()


def test_letters_of_all_scripts_and_line_breaks_stay() -> None:
    text = "naïve 中文 עברית 👩‍🔬 x²\n\ty"
    assert printable(text) == text


def test_json_is_utf_8_whatever_the_terminal_speaks(capfdbinary, monkeypatch) -> None:
    with open(sys.stdout.fileno(), "w", encoding="ascii", closefd=False) as ascii_only:
        monkeypatch.setattr(sys, "stdout", ascii_only)
        print_json({"text": "中"})
    assert orjson.loads(capfdbinary.readouterr().out) == {"text": "中"}


def test_commands_are_named_as_they_were_called(monkeypatch, tmp_path: Path) -> None:
    script = tmp_path / "kat"
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(script), "demo"])
    monkeypatch.setenv("PATH", "")
    assert program() == str(script)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "kat"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "main.py"), "demo"])
    assert program() == "kat"


def test_the_lines_of_the_cost_add_up(capsys) -> None:
    cost = {"made": 7, "reused": 3, "recorded": 0, "failed": 1, "usd": 3.5, "usd_lost": 1.25, "usd_used": 4.0}
    found = {"run": 1, "recipe": "r", "state": "finished", "queries": 0, "accepted": 2, "funnel": [], "models": []}
    print_report(found | {"left_out": [], "mixture": [], "modes": [], "composition": [], "cost": cost})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[-5:-1] == [
        "7 calls that this run paid cost $2.25",
        "charged for tries without a reply $1.25",
        "both together, counted on the budget $3.50",
        "all calls behind this run cost; 3 of them were in the ledger already $4.00, $2.00 per accepted sample",
    ]
