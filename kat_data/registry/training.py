"""Training runs: what was trained on which snapshots, and the checkpoints that came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from kat_data.domain.training import TrainingState
from kat_data.hashing import content_hash

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInput:
    """A snapshot that was trained on: its content hash, hex, and its label as the manifest gives them."""

    hash: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """One training run, the same wherever it ran and whenever it is noted; hashes are hex.

    It started from `base_model`, or from the checkpoint with `base_hash`. `config` is the trainer's resolved one,
    `metrics` a summary. What it is goes into its `hash`; how it went may still change, and does not.
    """

    trainer: str
    base_model: str
    config: dict[str, Any]
    code_version: str
    inputs: tuple[SnapshotInput, ...]
    started_at: datetime
    base_hash: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    state: TrainingState = TrainingState.RUNNING
    finished_at: datetime | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    checkpoint_hash: str | None = None

    @property
    def hash(self) -> bytes:
        return content_hash(
            {
                "trainer": self.trainer,
                "base_model": self.base_model,
                "base_hash": self.base_hash,
                "config": self.config,
                "recipe": self.recipe,
                "code_version": self.code_version,
                "inputs": sorted(given.hash for given in self.inputs),
                "started_at": self.started_at.astimezone(UTC).isoformat(),
            }
        )


def note_training(connection: Connection, run: TrainingRun) -> bool:
    """Note a training run with its inputs, or how one that is noted went on; return whether it was new.

    One that has ended stays as it ended, whatever an older file says of it.
    """
    values = {
        "hash": run.hash,
        "trainer": run.trainer,
        "base_model": run.base_model,
        "base_hash": _bytes(run.base_hash),
        "config": _json(run.config),
        "recipe": _json(run.recipe),
        "code_version": run.code_version,
        "state": run.state.value,
        "metrics": _json(run.metrics),
        "checkpoint": run.checkpoint,
        "checkpoint_hash": _bytes(run.checkpoint_hash),
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }
    found = connection.execute(text(_NOTE), values).one_or_none()
    if found is None:  # somebody noted it just now, after this statement began, which then sees no row to name
        found = connection.execute(text(_NOTE), values).one()
    if found.new:
        inputs = [{"run": found.id, "hash": _bytes(given.hash), "label": given.label} for given in run.inputs]
        if inputs:
            connection.execute(text(_NOTE_INPUTS), inputs)
    return bool(found.new)


_NOTE = """
    WITH noted AS (
        INSERT INTO training_runs (hash, trainer, base_model, base_hash, config, recipe, code_version, state, metrics,
            checkpoint, checkpoint_hash, started_at, finished_at)
        VALUES (:hash, :trainer, :base_model, :base_hash, :config, :recipe, :code_version, :state, :metrics,
            :checkpoint, :checkpoint_hash, :started_at, :finished_at)
        ON CONFLICT (hash) DO UPDATE SET state = excluded.state, metrics = excluded.metrics,
            checkpoint = excluded.checkpoint, checkpoint_hash = excluded.checkpoint_hash,
            finished_at = excluded.finished_at, noted_at = now()
        WHERE training_runs.finished_at IS NULL OR training_runs.finished_at < excluded.finished_at
        RETURNING id, xmax = 0 AS new
    )
    SELECT id, new FROM noted
    UNION ALL SELECT id, false FROM training_runs WHERE hash = :hash AND NOT EXISTS (SELECT FROM noted)
"""

_NOTE_INPUTS = """
    INSERT INTO training_inputs (training_run_id, snapshot_hash, label) VALUES (:run, :hash, :label)
    ON CONFLICT DO NOTHING
"""


def trained_on(connection: Connection, snapshots: Sequence[bytes]) -> list[Row]:
    """Return the training runs that used these snapshots, and those that went on from their checkpoints.

    Each has its `inputs` and, where it comes after another one, that one's hash as `after`.
    """
    found = [dict(row._mapping) for row in connection.execute(text(_TRAINED_ON), {"snapshots": list(snapshots)})]
    inputs = connection.execute(text(_INPUTS), {"runs": [row["id"] for row in found]}).all()
    for row in found:
        mine = [given for given in inputs if given.training_run_id == row["id"]]
        row["inputs"] = [{"hash": given.hash, "label": given.label} for given in mine]
        del row["id"]
    return found


# Checkpoints can be trained on in a circle only by mistake; UNION ends it all the same.
_TRAINED_ON = """
    WITH RECURSIVE chain AS (
        SELECT training_run_id AS id FROM training_inputs WHERE snapshot_hash = ANY(:snapshots)
        UNION
        SELECT later.id FROM chain JOIN training_runs AS earlier ON earlier.id = chain.id
        JOIN training_runs AS later ON later.base_hash = earlier.checkpoint_hash
    )
    SELECT id, encode(hash, 'hex') AS hash, trainer, base_model, encode(base_hash, 'hex') AS base_hash, code_version,
        state, metrics, checkpoint, encode(checkpoint_hash, 'hex') AS checkpoint_hash, started_at, finished_at,
        (SELECT encode(before.hash, 'hex') FROM training_runs AS before JOIN chain USING (id)
            WHERE before.checkpoint_hash = training_runs.base_hash AND before.id <> training_runs.id
            ORDER BY before.id LIMIT 1) AS after
    FROM training_runs JOIN chain USING (id) ORDER BY started_at, id
"""

_INPUTS = """
    SELECT training_run_id, encode(snapshot_hash, 'hex') AS hash, label FROM training_inputs
    WHERE training_run_id = ANY(:runs) ORDER BY label, hash
"""


def _bytes(digits: str | None) -> bytes | None:
    return bytes.fromhex(digits) if digits is not None else None


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
