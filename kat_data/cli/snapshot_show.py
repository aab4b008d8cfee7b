"""`kat snapshots show`: what a snapshot holds, how near it comes to its mixture, and its statistics."""

from dataclasses import asdict
from pathlib import Path

import click
import orjson

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.domain.mode import Transition
from kat_data.snapshots import read
from kat_data.snapshots.card.plot import plot_into
from kat_data.snapshots.composition import totals
from kat_data.snapshots.manifest import Manifest
from kat_data.snapshots.mixture import COLUMNS, Reached, compare, lines, untold
from kat_data.snapshots.survey.statistics import Section, sections
from kat_data.snapshots.versions.listing import entry


@click.command()
@click.argument("label")
@click.option("--plot", "file", type=click.Path(path_type=Path, dir_okay=False), help="Draw its composition there.")
@root_option
@json_option
def show(label: str, file: Path | None, root: Path | None, as_json: bool) -> None:
    """Show what a snapshot holds, how near it comes to its mixture, and statistics.

    LABEL is NAME or NAME@latest (the newest version), NAME@3, or NAME@ALIAS (`kat snapshots alias`).
    """
    snapshot = read.open_snapshot(read.find(root_folder(root), label))
    spread = snapshot.distribution()
    reached = compare(spread, snapshot.manifest.hashed.rows) if spread.strata else None
    if file is not None:
        plot_into(file, snapshot)
        say(f"drawn: {file}")
    if as_json:
        said = entry(snapshot.path)
        print_json(
            orjson.loads(snapshot.manifest.to_bytes())
            | {"mixture": asdict(reached) if reached else None, "aliases": said.aliases}
            | {"notes": [asdict(note) for note in said.notes]}
        )
    else:
        _print_snapshot(snapshot, label)
        _print_mixture(snapshot.manifest, reached)
        _print_statistics(snapshot.manifest)


def _print_snapshot(snapshot: read.Snapshot, label: str) -> None:
    hashed, said = snapshot.manifest.hashed, entry(snapshot.path)
    parent = snapshot.manifest.unhashed.parent
    facts = [
        ["aliases", ", ".join(said.aliases)],
        ["parent", parent.label if parent else ""],
        ["folder", str(snapshot.path)],
        ["stage", hashed.stage.value],
        ["rows", str(hashed.rows)],
        ["content hash", hashed.content_hash],
        ["built at", snapshot.manifest.unhashed.built_at],
        *(["note", note] for note in (snapshot.manifest.unhashed.notes, *(note.note for note in said.notes)) if note),
    ]
    print_table(["fact", "value"], facts, title=label)
    counts = totals(hashed.composition, "category", "mode")
    print_table(["category", "mode", "rows"], [[*key, count] for key, count in sorted(counts.items())])
    if hashed.transitions:
        rows = [[name, *(found.get(t, 0) for t in Transition)] for name, found in hashed.transitions.items()]
        print_table(["category", *Transition], rows, title="how modes go on from turn to turn")


def _print_mixture(manifest: Manifest, reached: Reached | None) -> None:
    if reached:
        print_table(COLUMNS, lines(reached), title="mixture: target and reached")
    elif names := untold(manifest.hashed.recipe, manifest.hashed.stage):
        click.echo(f"The mixture asks for {' and '.join(names)}, which rows of {manifest.hashed.stage} do not hold.")


def _print_statistics(manifest: Manifest) -> None:
    if (statistics := manifest.unhashed.statistics) is not None:
        for section in sections(statistics, manifest.hashed.duplicates):
            _print_section(section)


def _print_section(section: Section) -> None:
    columns = list(dict.fromkeys(name for line in section.lines for name in line))
    rows = [[line.get(name, "") for name in columns] for line in section.lines]
    print_table(columns, rows, title=section.title.lower())
    if section.note:
        click.echo(f"{section.note}\n")
