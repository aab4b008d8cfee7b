"""How commands speak: tables for people, one JSON document for programs, progress on stderr."""

import math
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Characters that a terminal obeys instead of showing, but for tab and line break: control codes, and marks that turn
# the direction of the text about them.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document of this command, in UTF-8 whatever the terminal speaks."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=_plain))


def say(text: str) -> None:
    """Print a message for people on stderr."""
    click.echo(text, err=True)


def console() -> "Console":
    """Return the console for tables on stdout; a pipe gets plain, unwrapped text."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=not sys.stdout.isatty())


def show(renderable: "RenderableType") -> None:
    """Print text, a table or the like on stdout."""
    # Rich ends the process by itself where the output's reader went away; click leaves that to `main`.
    out = console()
    with out.capture() as rendered:
        out.print(renderable)
    click.echo(rendered.get(), nl=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table; numbers stand to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) or row[index] in ("", None) for row in rows)
        table.add_column(column, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    show(table)


def usd(amount: float) -> str:
    """Write an amount of US dollars so that small sums stay readable."""
    if amount >= 1 or amount <= 0:
        return f"${amount:,.2f}"
    return f"${amount:.{max(4, 2 - math.floor(math.log10(amount)))}f}"


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with its amounts of money, whose names begin with `usd`, to a billionth of a dollar."""
    return {name: round(value, 9) if name.startswith("usd") and value else value for name, value in row.items()}


def printable(text: str) -> str:
    """Return `text` with every character that a terminal would obey written as its escape."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def program() -> str:
    """Return how this shell calls `kat`: by its name where PATH leads to it, else as it was called now."""
    called = Path(sys.argv[0])
    on_path = shutil.which("kat")
    if called.name != "kat" or (on_path and Path(on_path).resolve() == called.resolve()):
        return "kat"
    return sys.argv[0]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)
