"""`kat snapshots push` and `kat snapshots pull`: snapshots on their way to others and from them."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kat_data.cli.output import json_option, print_json, say
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.cli.tracked import counting
from kat_data.snapshots import read

if TYPE_CHECKING:
    from kat_data.snapshots.verify.verify import Report


@click.command()
@click.argument("label")
@click.argument("target")
@click.option("--private", is_flag=True, help="Make the dataset of the Hub a private one.")
@root_option
@json_option
def push(label: str, target: str, private: bool, root: Path | None, as_json: bool) -> None:
    """Verify a snapshot and copy it to TARGET.

    TARGET is hf://datasets/ORG/NAME (the token stands in HF_TOKEN; each version gets a tag, v3 for instance), or a
    folder of a store, below which it comes to NAME/VERSION: s3://…, gs://…, az://…, file://…. What is there already
    is not sent again.
    """
    from kat_data.snapshots.places.push import push as send

    snapshot = read.open_snapshot(read.find(root_folder(root), label))
    with counting(f"bytes at {target}") as moved:
        found = send(snapshot, target, private=private, check=_verify, moved=moved)
    if as_json:
        print_json(asdict(found))
        return
    click.echo(found.url)
    sent = f"{len(found.uploaded)} files sent" if found.uploaded else "all of it was there"
    say(f"{found.label}: {found.files} files, {found.bytes:,} bytes, checked; {sent}")


def _verify(path: Path) -> "Report":
    from kat_data.snapshots.verify.verify import verify

    with counting("rows verified") as observe:
        return verify(path, processes=os.cpu_count() or 1, observe=observe)


@click.command()
@click.argument("source")
@root_option
@json_option
def pull(source: str, root: Path | None, as_json: bool) -> None:
    """Fetch the snapshot at the URL SOURCE into the folder of snapshots, and check every byte of it.

    SOURCE is what `kat snapshots push` prints: hf://datasets/ORG/NAME@v3, s3://…/NAME/3; or https://… of a server
    that has the folder.
    """
    from kat_data.snapshots.places.pull import pull as fetch

    with counting(f"bytes of {source}") as moved:
        found = fetch(source, root_folder(root), moved=moved)
    manifest = found.manifest
    if as_json:
        rows, content_hash = manifest.hashed.rows, manifest.hashed.content_hash
        print_json({"snapshot": manifest.label, "path": str(found.path), "rows": rows, "content_hash": content_hash,
                    "existed": found.existed})  # fmt: skip
        return
    note = " (it was here, so nothing was fetched)" if found.existed else ""
    click.echo(f"{manifest.label}: {manifest.hashed.rows} rows in {found.path}{note}")
