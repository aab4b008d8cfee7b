"""Where the commands of snapshots look for them."""

from pathlib import Path

import click

from kat_data.settings import Settings

root_option = click.option(
    "--root", type=click.Path(path_type=Path), help="Folder of the snapshots; default: snapshots in KAT_HOME."
)


def root_folder(root: Path | None) -> Path:
    """Return the folder of the snapshots."""
    return root or Settings.load().home / "snapshots"
