"""`kat snapshots verify`: every hash, every count and every row, with a bar for the rows."""

import os
from pathlib import Path

import click

from kat_data.cli.output import json_option, print_json, say
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.cli.tracked import counting
from kat_data.errors import SnapshotError
from kat_data.snapshots import read
from kat_data.snapshots.verify.verify import verify as verify_folder


@click.command()
@click.argument("label")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="one a core",
    help="At most so many look at a large snapshot's shards at the same time.",
)
@root_option
@json_option
def verify(label: str, processes: int, root: Path | None, as_json: bool) -> None:
    """Recompute every hash and check every row of a snapshot; exits with 6 where anything is wrong."""
    path = read.find(root_folder(root), label)
    with counting("rows") as observe:
        report = verify_folder(path, processes=processes, observe=observe)
    if as_json:
        print_json({"snapshot": label, "ok": report.ok, "rows": report.rows, "problems": report.problems})
    for problem in report.problems if not as_json else ():
        say(problem)
    if not report.ok:
        raise SnapshotError(f"{label} in {path} is damaged: {len(report.problems)} problems; build it again")
    if not as_json:
        click.echo(f"{label}: {report.rows} rows, every hash and every row is right")
