"""From a run to a snapshot: its accepted samples, written once and noted in the registry."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from kat_data.clock import Clock
from kat_data.decontam.measured import decontamination_errors
from kat_data.domain.category import Category
from kat_data.domain.codec import from_python
from kat_data.domain.pair import Pair
from kat_data.domain.query import ReferenceOrigin, VerifierKind, VerifierSpec
from kat_data.domain.sample import Sample
from kat_data.domain.states import RunState
from kat_data.errors import UserError
from kat_data.pipeline.recipe import Recipe, parse_recipe
from kat_data.registry import queries, runs
from kat_data.registry.session import Registry
from kat_data.sandbox.base import Sandbox
from kat_data.snapshots.read import find, open_snapshot
from kat_data.snapshots.record import Row, TrainingStage
from kat_data.snapshots.write import SnapshotSpec, Written, write_snapshot
from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.labelled import KINDS, error_rates, named

_NOTE = text("""
    INSERT INTO snapshots (name, version, hash, stage, path, manifest)
    VALUES (:name, :version, :hash, :stage, :path, :manifest)
    ON CONFLICT (name, hash) DO UPDATE
    SET version = excluded.version, path = excluded.path, manifest = excluded.manifest
    RETURNING id
""")
_NOTE_ROWS = text("""
    INSERT INTO snapshot_rows (snapshot_id, sample_id) SELECT :snapshot, unnest((:samples)::bigint[])
    ON CONFLICT DO NOTHING
""")


class _Measured(TypedDict):
    verifiers: list[dict[str, Any]]
    error_rates: list[dict[str, Any]]


def publish_run(
    registry: Registry,
    root: Path,
    run: int,
    *,
    name: str | None,
    partial: bool,
    clock: Clock,
    parent: str | None = None,
    note: str = "",
    open_sandbox: Callable[[], Sandbox | None] = lambda: None,
) -> Written:
    """Write the snapshot of a finished run, or of any when `partial`; the same rows return their existing version.

    `parent` is the label of the snapshot that it follows, of which it is the next version where none is named.
    Where it holds verified programs, their verifier is measured in the sandbox that `open_sandbox` gives; where it
    gives none, the card says so and the content hash is the same.
    """
    follows = open_snapshot(find(root, parent)).reference if parent else None
    with registry.engine.connect() as connection:
        row = publishable(connection, run, partial=partial)
        recipe = parse_recipe(row.recipe, f"run {run}")
        measured = _measured(VerifierKind.CODE in queries.accepted_kinds(connection, run), open_sandbox)
        spec = _spec(connection, row, recipe, name or recipe.snapshot.name or recipe.name, clock, measured)
        spec = replace(spec, parent=follows, notes=note)
        ids: dict[int, str] = {}
        splits = {"train": _rows(queries.snapshot_inputs(connection, run), ids)}
        written = write_snapshot(root, spec, splits, known=_known(connection, spec.name))
    with registry.engine.begin() as connection:
        _note(connection, written, [sample for sample, row in ids.items() if row not in written.surplus])
    return written


def publishable(connection: Connection, run: int, *, partial: bool) -> runs.RunRow:
    """Return a run that a snapshot can be made of; raises `UserError` where it has to be finished first."""
    row = runs.get_run(connection, run)
    if row.state is not RunState.FINISHED and not partial:
        raise UserError(f"run {run} is {row.state.value}: finish it with `kat runs resume {run}`, or pass --partial")
    return row


def publication(written: Written) -> dict[str, Any]:
    """Return what is told of a snapshot once it is there, as JSON values."""
    return {
        "snapshot": written.label,
        "path": str(written.path),
        "rows": written.manifest.hashed.rows,
        "content_hash": written.manifest.hashed.content_hash,
        "existed": written.existed,
        "surplus": len(written.surplus),
    }


def _measured(programs: bool, open_sandbox: Callable[[], Sandbox | None]) -> _Measured:
    kinds = [*KINDS, VerifierKind.CODE] if programs else list(KINDS)
    sandbox = open_sandbox() if programs else None
    with Verifiers(open_sandbox=lambda: sandbox) as verifiers:
        cited = list(named(kinds).values())
        possible = kinds if sandbox is not None and sandbox.trusted else KINDS
        return _Measured(verifiers=cited, error_rates=[asdict(r) for r in error_rates(verifiers, possible).values()])


def _decontamination(row: runs.RunRow) -> dict[str, Any] | None:
    """How well the method does by which the run left out benchmarks' items, as the cases of the project show it."""
    if (method := row.context.get("decontamination")) is None:
        return None
    found = decontamination_errors()
    rates = {"recall": round(found.recall, 4), "precision": round(found.precision, 4)}
    return {"method": method, **rates, **asdict(found)}


def _spec(
    connection: Connection, row: runs.RunRow, recipe: Recipe, name: str, clock: Clock, measured: _Measured
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
        decontamination=_decontamination(row),
        built_at=clock.now(),
        funnel=[asdict(entry) for entry in runs.funnel(connection, row.id)],
        money={"currency": "USD", **asdict(cost)},
    )


def _rows(inputs: Iterable[dict[str, Any]], ids: dict[int, str]) -> Iterator[Row]:
    """Yield the rows of samples, and note in `ids` which row each sample is."""
    for found in inputs:
        ids[found["id"]] = found["hash"].hex()
        yield Row(
            sample=_sample(found["sample"]),
            query=found["query_hash"].hex(),
            lineage=found["lineage"].hex(),
            category=Category(found["category"]),
            source=found["source"],
            licence=found["licence"],
            domain=found["domain"] or "",
            difficulty=found["difficulty"],
            reference=found["reference"],
            reference_origin=ReferenceOrigin(found["reference_origin"]),
            verifier=from_python(VerifierSpec, found["verifier"]) if found["verifier"] else None,
            pass_rate=found["pass_rate"],
        )


def _sample(stored: dict[str, Any]) -> Sample | Pair:
    return from_python(Sample, stored) if "turns" in stored else from_python(Pair, stored)


def _known(connection: Connection, name: str) -> dict[int, str]:
    """The versions of a name that were ever noted, whatever folder they are in."""
    sql = "SELECT version, encode(hash, 'hex') AS hash FROM snapshots WHERE name = :name ORDER BY version"
    return {row.version: row.hash for row in connection.execute(text(sql), {"name": name})}


def _note(connection: Connection, written: Written, samples: list[int]) -> None:
    """Note where the snapshot stands, and that the samples are in it; raises `UserError` where its version is taken.

    Content that is noted already gets its newest place, and the samples of another run that gave the same rows.
    """
    hashed, unhashed = written.manifest.hashed, written.manifest.unhashed
    values = {
        "name": hashed.name,
        "version": unhashed.version,
        "hash": bytes.fromhex(hashed.content_hash),
        "stage": hashed.stage.value,
        "path": str(written.path.resolve()),
        "manifest": orjson.dumps(written.manifest).decode(),
    }
    try:
        snapshot = connection.execute(_NOTE, values).scalar_one()
    except IntegrityError as error:
        raise UserError(
            f"{written.path} was made elsewhere, and {written.label} is another snapshot in this registry: publish "
            "under another --name or into another --root"
        ) from error
    connection.execute(_NOTE_ROWS, {"snapshot": snapshot, "samples": samples})
