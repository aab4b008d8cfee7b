"""`kat snapshots`: create, list, show, verify and export."""

from pathlib import Path
from typing import Any

import click

from kat_data.cli.fleet import executor_options, follow_job
from kat_data.cli.output import json_option, print_json, say
from kat_data.cli.registry import open_registry
from kat_data.cli.snapshot_diff import diff
from kat_data.cli.snapshot_export import export
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.cli.snapshot_history import alias, history, note
from kat_data.cli.snapshot_list import list_
from kat_data.cli.snapshot_show import show
from kat_data.cli.snapshot_transfer import pull, push
from kat_data.cli.snapshot_verify import verify
from kat_data.cli.tracked import rows_bar
from kat_data.clock import SystemClock
from kat_data.domain.job import JobKind, JobState
from kat_data.domain.split import parse_splits
from kat_data.errors import SnapshotError
from kat_data.executors import jobs
from kat_data.pipeline.publish import publication, publish_run, publishable
from kat_data.registry.session import Registry
from kat_data.sandbox.open import opener
from kat_data.settings import Settings


@click.group()
def snapshots() -> None:
    """Create, list, compare, verify, export, push and pull snapshots."""


for command in (list_, show, diff, verify, alias, note, history, export, push, pull):
    snapshots.add_command(command)


@snapshots.command()
@click.option("--run", type=int, required=True, help="The run whose accepted samples go in.")
@click.option("--name", help="Name of the snapshot; default: what the recipe says.")
@click.option("--partial", is_flag=True, help="Also from a run that is not finished.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="A share or a number of rows beside those to train on, e.g. validation=0.05; default: what the recipe says.",
)
@click.option("--parent", help="The snapshot that it follows, as a label; default: the version before.")
@click.option("--note", default="", help="What is to be said of it, in its card and its manifest.")
@root_option
@executor_options
@json_option
def create(
    root: Path | None, executor: str, detach: bool, as_json: bool, splits: tuple[str, ...], **wanted: Any
) -> None:
    """Write the accepted samples of a run as the next version; unchanged content returns its existing version.

    Rows that share a query, a cluster of duplicates or a document never stand in two splits. A build that was killed
    goes on where it was. With --executor celery a worker writes it, into its own KAT_HOME/snapshots or --root: a folder
    that all share.
    """
    told = {"splits": parse_splits(splits), "parent": wanted.pop("parent"), "note": wanted.pop("note")}
    wanted |= {name: value for name, value in told.items() if value}
    with open_registry() as registry:
        if executor == "celery":
            found = _create_by_fleet(registry, wanted, root, detach=detach)
        else:
            found = _create_here(registry, wanted, root)
    if as_json:
        print_json(found)
    elif "snapshot" in found:
        _print_created(found, wanted)


def _create_here(registry: Registry, wanted: dict[str, Any], root: Path | None) -> dict[str, Any]:
    settings = Settings.load()
    with rows_bar("snapshot") as tell:
        written = publish_run(
            registry,
            root_folder(root),
            **wanted,
            clock=SystemClock(),
            open_sandbox=opener(settings),
            home=settings.home,
            tell=tell,
        )
    return publication(written)


def _create_by_fleet(registry: Registry, wanted: dict[str, Any], root: Path | None, *, detach: bool) -> dict[str, Any]:
    with registry.engine.connect() as connection:
        publishable(connection, wanted["run"], partial=wanted["partial"])
    arguments = {**wanted, "root": str(root.resolve()) if root else None}
    job = jobs.ask(registry, Settings.load(), JobKind.SNAPSHOT, arguments)
    if detach:
        say(f"job {job.id} is with the workers: `kat jobs show {job.id}` shows how it goes")
        return {"job": job.id, "state": job.state.value}
    ended = follow_job(registry, job.id)
    if ended.state is JobState.CANCELLED:
        raise SnapshotError(f"job {job.id} was cancelled: ask for the snapshot again")
    if ended.state is JobState.FAILED:
        raise SnapshotError(str(ended.error))
    found: dict[str, Any] = ended.result
    return found


def _print_created(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    unchanged = " (unchanged, so nothing was written)" if found["existed"] else ""
    click.echo(f"{found['snapshot']}: {found['rows']} rows in {found['path']}{unchanged}")
    if len(found["splits"]) > 1:
        click.echo(", ".join(f"{rows} in {split}" for split, rows in found["splits"].items()))
    if found["existed"] and "note" in wanted:
        say(f"nor was your note: `kat snapshots note {found['snapshot']} TEXT` puts it beside the version")
    if found["existed"] and "parent" in wanted:
        say("nor was your parent: a version keeps the one that it was built with")
    if found["surplus"]:
        stay = f"they stay with run {wanted['run']}"
        say(f"{found['surplus']} more samples were accepted than the mixture asks for: {stay}")
    if found["withdrawn"]:
        say(f"{found['withdrawn']} of the rows were withdrawn while it was written: create the snapshot again")
