"""From a run to a snapshot: its accepted samples, written once and noted in the registry."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from kat_data.clock import Clock
from kat_data.domain.query import VerifierKind
from kat_data.domain.states import RunState
from kat_data.errors import UserError
from kat_data.pipeline.measured import Measured, measured_decontamination, measured_verifiers
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.pipeline.selected_rows import WRITING, Tell, select_rows
from kat_data.registry import queries, runs, withdrawals
from kat_data.registry.lineage import noted_versions
from kat_data.registry.run_statistics import run_statistics
from kat_data.registry.selection import Selection
from kat_data.registry.session import Registry
from kat_data.sandbox.base import Sandbox
from kat_data.snapshots.build.write import SnapshotSpec, Written, build_snapshot, check_names
from kat_data.snapshots.read import find, open_snapshot
from kat_data.snapshots.record import TrainingStage


def publish_run(
    registry: Registry,
    root: Path,
    run: int,
    *,
    name: str | None,
    partial: bool,
    clock: Clock,
    splits: Mapping[str, float] | None = None,
    parent: str | None = None,
    note: str = "",
    open_sandbox: Callable[[], Sandbox | None] = lambda: None,
    home: Path | None = None,
    tell: Tell = lambda step, done, total: None,
) -> Written:
    """Write the snapshot of a finished run, or of any when `partial`; the same rows return their existing version.

    `splits` stand in place of the recipe's, and `parent` is the label of the snapshot that it follows, of which it is
    the next version where none is named. Where it holds verified programs, their verifier is measured in the sandbox
    that `open_sandbox` gives; where it gives none, the card says so and the content hash is the same. What was measured
    is kept in `home`, if any.
    """
    follows = open_snapshot(find(root, parent)).reference if parent else None
    with registry.engine.connect() as connection:
        row = publishable(connection, run, partial=partial)
        programs = VerifierKind.CODE in queries.accepted_kinds(connection, run)
    recipe = parse_recipe(row.recipe, f"run {run}")
    asked = recipe.snapshot.splits if splits is None else splits
    name = name or recipe.snapshot.name or recipe.name
    check_names(name, asked)
    measured = measured_verifiers(programs, open_sandbox, home)  # seconds, in which no transaction is open
    with registry.engine.connect() as connection:
        spec = _spec(connection, row, recipe, name, asked, clock, measured)
        spec = replace(spec, parent=follows, notes=note, decontamination=_decontamination(row, home))
        known = noted_versions(connection, name)
    with select_rows(registry, run, spec, tell) as plan:
        counted = _counted(tell, plan.rows)
        written = build_snapshot(
            root, spec, plan, known=known, on_rows=counted, note=lambda written: _note(plan.selection, written)
        )
    with registry.engine.connect() as connection:
        withdrawn = withdrawals.withdrawn_rows(connection, bytes.fromhex(written.manifest.hashed.content_hash))
    return replace(written, withdrawn=withdrawn)


def publishable(connection: Connection, run: int, *, partial: bool) -> runs.RunRow:
    """Return a run that a snapshot can be made of; raises `UserError` where it has to be finished first."""
    row = runs.get_run(connection, run)
    if row.state is not RunState.FINISHED and not partial:
        raise UserError(f"run {run} is {row.state.value}: finish it with `kat runs resume {run}`, or pass --partial")
    if not partial and (items := runs.unfinished(connection, run)):
        raise UserError(
            f"{items:,} items of run {run} have not ended: finish it with `kat runs resume {run}`, or pass --partial"
        )
    return row


def publication(written: Written) -> dict[str, Any]:
    """Return what is told of a snapshot once it is there, as JSON values."""
    return {
        "snapshot": written.label,
        "path": str(written.path),
        "rows": written.manifest.hashed.rows,
        "content_hash": written.manifest.hashed.content_hash,
        "existed": written.existed,
        "surplus": written.surplus,
        "withdrawn": written.withdrawn,
        "splits": written.manifest.splits,
    }


def _decontamination(row: runs.RunRow, home: Path | None) -> dict[str, Any] | None:
    """How well the method does by which the run left out benchmarks' items, as the cases of the project show it."""
    if (method := row.context.get("decontamination")) is None:
        return None
    return {"method": method, **measured_decontamination(home)}


def _spec(
    connection: Connection,
    row: runs.RunRow,
    recipe: Recipe,
    name: str,
    splits: Mapping[str, float],
    clock: Clock,
    measured: Measured,
) -> SnapshotSpec:
    cost = queries.run_cost(connection, row.id)
    return SnapshotSpec(
        name=name,
        stage=TrainingStage(recipe.snapshot.stage),
        seed=recipe.seed,
        recipe=recipe.identity() | row.context,
        models={
            role: [recipe.models[member.model].model for member in members] for role, members in recipe.roles.items()
        },
        **measured,
        splits=splits,
        built_at=clock.now(),
        funnel=[asdict(entry) for entry in runs.funnel(connection, row.id)],
        money={"currency": "USD", **asdict(cost)},
        statistics=run_statistics(connection, row.id, cost),
        allowed_licences=recipe.queries.licences,
    )


def _counted(tell: Tell, total: int) -> Callable[[int], None]:
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        tell(WRITING, done, total)

    return count


def _note(selection: Selection, written: Written) -> None:
    selection.note(
        name=written.manifest.hashed.name,
        version=written.manifest.unhashed.version,
        hash_=bytes.fromhex(written.manifest.hashed.content_hash),
        path=str(written.path.resolve()),
        manifest=orjson.dumps(written.manifest).decode(),
    )
