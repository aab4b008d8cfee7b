"""`kat lineage`: from source line to checkpoint, for a sample, a snapshot or one of its rows."""

from pathlib import Path

import click

from kat_data.cli.output import json_option, print_json, rounded, show
from kat_data.cli.registry import transaction
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.pipeline.lineage import trace


@click.command()
@click.argument("ident")
@click.option("--full", is_flag=True, help="Whole prompts, replies and texts instead of their first words.")
@root_option
@json_option
def lineage(ident: str, full: bool, root: Path | None, as_json: bool) -> None:
    """Print where a sample or a snapshot comes from, and what was made of it.

    IDENT is a sample's id or the start of its hash, RUN/QUERY (also of a dropped item), a snapshot (NAME, NAME@3,
    NAME@alias or the start of its content hash), or a row of one: LABEL:NUMBER and LABEL:SPLIT:NUMBER, counted from 0,
    or LABEL#ID with the start of the row's id.
    """
    from rich.console import Console

    with transaction() as connection, Console(stderr=True).status("looking"):  # at a large snapshot, for seconds
        found = trace(connection, root_folder(root), ident)
    if as_json:
        calls = {"calls": [rounded(call) for call in found["calls"]]} if "calls" in found else {}
        print_json(rounded(found) | calls)
        return
    from kat_data.cli.lineage_tree import tree

    show(tree(found, full=full))
