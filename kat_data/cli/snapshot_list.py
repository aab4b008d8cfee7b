"""`kat snapshots list`: every version with its aliases, where it comes from and what was said of it."""

from pathlib import Path
from typing import Any

import click

from kat_data.cli.output import json_option, print_json, print_table
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.snapshots.versions.listing import Entry, entries

COLUMNS = ("snapshot", "aliases", "parent", "rows", "stage", "bytes", "built_at", "note")
_DAMAGED = "damaged: `kat snapshots verify` says how"


@click.command("list")
@click.option("--name", help="Only the versions of this snapshot.")
@root_option
@json_option
def list_(name: str | None, root: Path | None, as_json: bool) -> None:
    """List the snapshots of a folder."""
    rows = [_row(entry) for entry in entries(root_folder(root), name)]
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, [[_cell(row[name]) for name in COLUMNS] for row in rows])


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"snapshot": entry.label, "aliases": entry.aliases}
    if entry.manifest is None:
        return row | {"note": _DAMAGED}
    hashed, unhashed = entry.manifest.hashed, entry.manifest.unhashed
    return row | {
        "parent": unhashed.parent and unhashed.parent.label,
        "rows": hashed.rows,
        "stage": hashed.stage.value,
        "bytes": entry.manifest.size,
        "built_at": unhashed.built_at,
        "note": entry.note,
        "content_hash": hashed.content_hash,
    }


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value
