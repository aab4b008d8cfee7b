"""`kat snapshots export`: a snapshot's rows in the formats of training libraries."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kat_data.cli.output import json_option, print_json, say
from kat_data.cli.registry import open_registry
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.cli.tracked import counting
from kat_data.snapshots import read
from kat_data.snapshots.formats.export import Exported
from kat_data.snapshots.formats.export import export as write_export
from kat_data.snapshots.formats.formats import ExportFormat, check_format
from kat_data.snapshots.formats.loss import SENTENCES, Loss

if TYPE_CHECKING:
    from kat_data.snapshots.formats.preference import FindRivals


@click.command()
@click.argument("label")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in ExportFormat]),
    default="jsonl",
    show_default=True,
    help="What the files are; preference needs the registry that the snapshot was built from.",
)
@click.option("--parquet", is_flag=True, help="Parquet files in place of JSON Lines.")
@root_option
@json_option
def export(label: str, target: Path, form: str, parquet: bool, root: Path | None, as_json: bool) -> None:
    """Write a snapshot's rows into the new folder TARGET, a file for each split.

    What the format cannot hold is counted and told.
    """
    snapshot = read.open_snapshot(read.find(root_folder(root), label))
    chosen = ExportFormat(form)
    check_format(chosen, snapshot.manifest.hashed.stage, parquet=parquet)
    with _rivals(chosen) as find, counting(f"{label} as {form}") as moved:
        exported = write_export(snapshot, chosen, target, parquet=parquet, find_rivals=find, moved=moved)
    if as_json:
        print_json(_told(label, chosen, exported))
        return
    for file in exported.files:
        click.echo(file)
    say(f"{exported.rows} rows")
    _tell(exported.lost)


@contextmanager
def _rivals(form: ExportFormat) -> "Iterator[FindRivals | None]":
    if form is not ExportFormat.PREFERENCE:
        yield None
        return
    from kat_data.pipeline.rivals import Rivals

    with open_registry() as registry, registry.engine.connect() as connection:
        yield Rivals(connection).find


def _tell(lost: Mapping[Loss, int]) -> None:

    for loss, count in lost.items():
        say(SENTENCES[loss].format(f"{count:,}"))


def _told(label: str, form: ExportFormat, exported: Exported) -> dict[str, object]:
    files = [str(file) for file in exported.files]
    return {"snapshot": label, "format": form, "files": files, "rows": exported.rows, "lost": exported.lost}
