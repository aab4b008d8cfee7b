"""`kat snapshots diff`: what differs between two snapshots, row by row with the reason for each, and side by side."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import registry_at_hand, transaction
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.cli.tracked import waiting
from kat_data.snapshots.read import find, open_snapshot

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from kat_data.pipeline.difference import Comparison, ShownRow
    from kat_data.snapshots.compare.sides import Count, Part

_LONGEST = 60
_DIGITS = 12


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--limit", default=3, show_default=True, type=click.IntRange(min=0), help="Rows shown of each reason.")
@click.option("--no-registry", is_flag=True, help="Look at the folders alone: they rarely tell why.")
@root_option
@json_option
def diff(before: str, after: str, limit: int, no_registry: bool, root: Path | None, as_json: bool) -> None:
    """Compare two snapshots: rows added, removed and changed, why, and what both are made of.

    BEFORE and AFTER are labels such as math@3 or math@prod.
    """
    from kat_data.pipeline.difference import compare_snapshots, shown_rows

    sides = [open_snapshot(find(root_folder(root), label)) for label in (before, after)]
    with _registry(no_registry) as connection:
        with waiting(f"{before} and {after}: {sum(side.manifest.hashed.rows for side in sides):,} rows"):
            found = compare_snapshots(connection, *sides)
        shown = list(shown_rows(connection, found, limit))
    if as_json:
        print_json(_document(found, shown))
        return
    _print_sides(found)
    _print_rows(found, shown)
    if not no_registry:
        _tell_unknown(found)


@contextmanager
def _registry(left_out: bool) -> Iterator["Connection | None"]:
    """Give a connection, unless none is wanted or there is no registry: none is made for a look at folders."""
    if left_out or not registry_at_hand():
        yield None
        return
    with transaction() as connection:
        yield connection


def _document(found: "Comparison", shown: Iterable["ShownRow"]) -> dict[str, Any]:
    counted = found.rows.counted()
    kinds = ("added", "removed", "changed")
    return {
        "kept": found.rows.kept,
        **{kind: sum(one.rows for one in counted if one.kind == kind) for kind in kinds},
        "reasons": [asdict(one) | {"sentence": one.reason.sentence} for one in counted],
        "labels": found.rows.counted_labels(),
        "rows": [asdict(one.row) | {"detail": one.detail} for one in shown],
        "unknown_to_registry": found.unknown,
        **asdict(found.sides),
    }


def _print_sides(found: "Comparison") -> None:
    sides = found.sides
    print_table(["fact", "before", "after"], [[part.key, part.before, part.after] for part in sides.facts])
    for title, counts in (
        ("composition", sides.composition),
        ("difficulty", sides.bands),
        ("domains", sides.domains),
        ("splits", sides.splits),
        ("sources", sides.sources),
        ("licences", sides.licences),
        ("transitions between modes", sides.transitions),
    ):
        _print_counts(title, counts)
    _print_parts("what of the recipes differs", sides.recipe)


def _print_counts(title: str, counts: tuple["Count", ...]) -> None:
    """Print counts of both, the composition always and others where they are not the same."""
    if title != "composition" and all(count.before == count.after for count in counts):
        return
    rows = [[" ".join(c.what) or "none", c.before, c.after, f"{c.after - c.before:+,}"] for c in counts]
    print_table([title, "before", "after", "difference"], rows)


def _print_parts(title: str, parts: tuple["Part", ...]) -> None:
    if parts:
        print_table(
            ["key", "before", "after"], [[p.key, _short(p.before), _short(p.after)] for p in parts], title=title
        )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _print_rows(found: "Comparison", shown: Iterable["ShownRow"]) -> None:
    counted = found.rows.counted()
    if not counted:
        click.echo(f"every row is the same: {found.rows.kept:,}")
        return
    rows = [[one.kind, one.reason, one.drop, one.rows, one.reason.sentence] for one in counted]
    rows.append(["the same", "", "", found.rows.kept, ""])
    print_table(["rows", "reason", "drop reason", "number", "what that means"], rows)
    if labels := found.rows.counted_labels():
        print_table(["label", "rows that have another"], list(labels.items()))
    lines = [_line(one) for one in shown]
    if lines:
        print_table(["row", "reason", "query", "before", "after", "category", "mode", "more"], lines, title="examples")


def _line(one: "ShownRow") -> list[Any]:
    row = one.row
    hashes = [(value or "")[:_DIGITS] for value in (row.query, row.before, row.after)]
    return [row.kind, row.drop or row.reason, *hashes, row.category, row.mode, one.detail]


def _tell_unknown(found: "Comparison") -> None:
    if found.unknown:
        labels = " and ".join(found.unknown)
        say(f"this registry did not build {labels}, and cannot say why rows are missing there; --no-registry spares it")
