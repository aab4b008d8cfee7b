"""`kat snapshots alias`, `note` and `history`: what people say of versions once they stand."""

import getpass
from dataclasses import asdict
from pathlib import Path

import click

from kat_data.cli.output import json_option, print_json, print_table
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.clock import SystemClock
from kat_data.snapshots.read import find
from kat_data.snapshots.versions.aliases import remove_alias, set_alias
from kat_data.snapshots.versions.history import Event, Move, read_history
from kat_data.snapshots.versions.notes import add_note


@click.command()
@click.argument("label")
@click.argument("alias")
@click.option("--remove", is_flag=True, help="Take the alias away; LABEL then names the snapshot.")
@click.option("--note", default="", help="Why.")
@root_option
@json_option
def alias(label: str, alias: str, remove: bool, note: str, root: Path | None, as_json: bool) -> None:
    """Let ALIAS stand for the version that LABEL names: `kat snapshots alias math@3 prod`.

    `math@prod` then is a label like `math@3`. `latest` is always the newest version.
    """
    folder, by, at = root_folder(root), getpass.getuser(), SystemClock().now()
    change = remove_alias if remove else set_alias
    move = change(folder, label, alias, by=by, at=at, note=note)
    name = find(folder, label).parent.name
    if as_json:
        print_json({"snapshot": name, "aliases": read_history(folder / name).aliases, "move": move and asdict(move)})
    elif move is None:
        click.echo(f"{name}@{alias} is {name}@{find(folder, label).name} already")
    else:
        click.echo(f"{name}@{alias}: {_moved(move)}")


@click.command()
@click.argument("label")
@click.argument("text")
@root_option
@json_option
def note(label: str, text: str, root: Path | None, as_json: bool) -> None:
    """Add a note to a version that stands: `kat snapshots note math@3 "trained v7 on it"`.

    It is kept beside the version, whose files never change, and `kat snapshots list` shows the last one.
    """
    folder = root_folder(root)
    added = add_note(folder, label, text, by=getpass.getuser(), at=SystemClock().now())
    name = find(folder, label).parent.name
    if as_json:
        print_json({"snapshot": f"{name}@{added.version}", **asdict(added)})
    else:
        click.echo(f"noted on {name}@{added.version}")


@click.command()
@click.argument("label")
@root_option
@json_option
def history(label: str, root: Path | None, as_json: bool) -> None:
    """Print every move of an alias and every note of a snapshot, the oldest first."""
    parent = find(root_folder(root), label).parent
    events = read_history(parent).events
    if as_json:
        print_json({"snapshot": parent.name, "events": [asdict(event) for event in events]})
    else:
        rows = [[event.at, event.by, _what(event), event.note] for event in events]
        print_table(["at", "by", "what", "note"], rows, title=parent.name)


def _what(event: Event) -> str:
    return f"{event.alias}: {_moved(event)}" if isinstance(event, Move) else f"note on {event.version}"


def _moved(move: Move) -> str:
    before, after = ("none" if version is None else version for version in (move.from_version, move.to_version))
    return f"{before} → {after}"
