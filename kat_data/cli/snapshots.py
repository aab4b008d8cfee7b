"""`kat snapshots`: create, list, show, verify and export."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from kat_data.cli.fleet import executor_options, follow_job
from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry
from kat_data.cli.snapshot_export import export
from kat_data.cli.snapshot_folder import root_folder, root_option
from kat_data.cli.snapshot_history import alias, history, note
from kat_data.cli.snapshot_list import list_
from kat_data.cli.snapshot_transfer import pull, push
from kat_data.clock import SystemClock
from kat_data.domain.job import JobKind, JobState
from kat_data.domain.mode import Transition
from kat_data.errors import SnapshotError
from kat_data.executors import jobs
from kat_data.pipeline.publish import publication, publish_run, publishable
from kat_data.registry.session import Registry
from kat_data.sandbox.open import opener
from kat_data.settings import Settings
from kat_data.snapshots import read
from kat_data.snapshots.composition import totals
from kat_data.snapshots.manifest import Manifest
from kat_data.snapshots.mixture import COLUMNS, Reached, compare, lines, untold
from kat_data.snapshots.plot import plot_into
from kat_data.snapshots.verify import verify as verify_folder


@click.group()
def snapshots() -> None:
    """Create, list, compare, verify, export, push and pull snapshots."""


for command in (list_, alias, note, history, export, push, pull):
    snapshots.add_command(command)


@snapshots.command()
@click.option("--run", type=int, required=True, help="The run whose accepted samples go in.")
@click.option("--name", help="Name of the snapshot; default: what the recipe says.")
@click.option("--partial", is_flag=True, help="Also from a run that is not finished.")
@click.option("--parent", help="The snapshot that it follows, as a label; default: the version before.")
@click.option("--note", default="", help="What is to be said of it, in its card and its manifest.")
@root_option
@executor_options
@json_option
def create(root: Path | None, executor: str, detach: bool, as_json: bool, **wanted: Any) -> None:
    """Write the accepted samples of a run as the next version; unchanged content returns its existing version.

    With --executor celery a worker writes it, into its own KAT_HOME/snapshots or --root: a folder that all share.
    """
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
    sandbox = opener(Settings.load())
    return publication(publish_run(registry, root_folder(root), **wanted, clock=SystemClock(), open_sandbox=sandbox))


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
    if found["existed"] and wanted["note"]:
        say(f"nor was your note: `kat snapshots note {found['snapshot']} TEXT` puts it beside the version")
    if found["surplus"]:
        stay = f"they stay with run {wanted['run']}"
        say(f"{found['surplus']} more samples were accepted than the mixture asks for: {stay}")


@snapshots.command()
@click.argument("label")
@click.option("--plot", "file", type=click.Path(path_type=Path, dir_okay=False), help="Draw its composition there.")
@root_option
@json_option
def show(label: str, file: Path | None, root: Path | None, as_json: bool) -> None:
    """Show what a snapshot (NAME, NAME@latest or NAME@3) holds, and how near it comes to its recipe's mixture."""
    snapshot = read.open_snapshot(read.find(root_folder(root), label))
    spread = snapshot.distribution()
    reached = compare(spread, snapshot.manifest.hashed.rows) if spread.strata else None
    if file is not None:
        plot_into(file, snapshot)
        say(f"drawn: {file}")
    if as_json:
        print_json(orjson.loads(snapshot.manifest.to_bytes()) | {"mixture": asdict(reached) if reached else None})
    else:
        _print_snapshot(snapshot, label)
        _print_mixture(snapshot.manifest, reached)


def _print_snapshot(snapshot: read.Snapshot, label: str) -> None:
    hashed = snapshot.manifest.hashed
    facts = [
        ["folder", str(snapshot.path)],
        ["stage", hashed.stage.value],
        ["rows", str(hashed.rows)],
        ["content hash", hashed.content_hash],
        ["built at", snapshot.manifest.unhashed.built_at],
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


@snapshots.command()
@click.argument("label")
@root_option
@json_option
def verify(label: str, root: Path | None, as_json: bool) -> None:
    """Recompute every hash and check every row of a snapshot; exits with 6 where anything is wrong."""
    path = read.find(root_folder(root), label)
    report = verify_folder(path)
    if as_json:
        print_json({"snapshot": label, "ok": report.ok, "rows": report.rows, "problems": report.problems})
    for problem in report.problems if not as_json else ():
        say(problem)
    if not report.ok:
        raise SnapshotError(f"{label} in {path} is damaged: {len(report.problems)} problems; build it again")
    if not as_json:
        click.echo(f"{label}: {report.rows} rows, every hash and every row is right")
