"""Markdown of cards: sections, tables and pictures, in which what models wrote is inert."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_MARKUP = re.compile(r"[\\|`<>\[\]*]")


def section(title: str, *bodies: str) -> str:
    """Return a section of the bodies that say something; nothing where none does."""
    text = "\n\n".join(body.strip() for body in bodies if body.strip())
    return f"## {title}\n\n{text}\n" if text else ""


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with a column for every key, in the order of first appearance; nothing for no rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([row.get(name, "") for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(inert(value) for value in line)} |" for line in lines) if rows else ""


def picture(file: str, shown: str) -> str:
    """Return a picture that stands beside the card."""
    return f"![{shown}]({file})"


def inert(value: Any) -> str:
    """Return a value as text without markup, on one line: domains and the like were written by models."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
