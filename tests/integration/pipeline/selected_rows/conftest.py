"""Builds of snapshots of what a registry holds."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kat_data.pipeline.selected_rows import select_rows
from kat_data.registry.session import Registry
from kat_data.snapshots.build.write import SnapshotSpec, Written, build_snapshot
from kat_data.snapshots.record import TrainingStage
from kat_data.testing.stored_run import RUN

SHARD_BYTES = 8_000


@pytest.fixture
def spec_of() -> Callable[..., SnapshotSpec]:
    def make(**changes: Any) -> SnapshotSpec:
        values: dict[str, Any] = {
            "name": "demo",
            "stage": TrainingStage.STAGE2,
            "seed": 7,
            "recipe": {"name": "demo"},
            "built_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        return SnapshotSpec(**values | changes)

    return make


@pytest.fixture
def build(registry: Registry, tmp_path: Path, spec_of: Callable[..., SnapshotSpec]) -> Callable[..., Written]:
    """Build the snapshot of what is stored, into a folder of its own."""

    def build_(into: str = "built", *, within: Registry = registry, **changes: Any) -> Written:
        spec = spec_of(**changes)
        with select_rows(within, RUN, spec, lambda *_: None, shard_bytes=SHARD_BYTES) as plan:
            return build_snapshot(tmp_path / into, spec, plan)

    return build_
