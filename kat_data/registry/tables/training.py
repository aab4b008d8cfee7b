"""What was trained on snapshots. It is known by content hashes, as training may run where no registry is in reach."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSON

from kat_data.registry.tables.columns import identity, metadata, moment, need, ref, stamp

training_runs = Table(
    "training_runs",
    metadata,
    identity(),
    need("hash", LargeBinary),  # of what makes it this training run and no other
    need("trainer", Text),
    need("base_model", Text),
    Column("base_hash", LargeBinary),  # of the checkpoint that it started from, where that is known
    need("config", JSON),  # resolved
    need("recipe", JSON, "'{}'"),
    need("code_version", Text),
    need("state", Text),
    need("metrics", JSON, "'{}'"),  # a summary
    Column("checkpoint", Text),  # its place
    Column("checkpoint_hash", LargeBinary),
    need("started_at", DateTime(timezone=True)),
    moment("finished_at"),
    stamp("noted_at"),
    UniqueConstraint("hash"),
    Index("ix_training_runs_base_hash", "base_hash"),
)

training_inputs = Table(
    "training_inputs",
    metadata,
    ref("training_run_id", "training_runs.id", primary_key=True),
    Column("snapshot_hash", LargeBinary, primary_key=True),  # perhaps of a snapshot that is not noted here, or not yet
    need("label", Text),  # as the trainer read it in the manifest
    Index(None, "snapshot_hash"),
)
