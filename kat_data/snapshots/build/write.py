"""Build a snapshot: rows in, an immutable folder `<root>/<name>/<version>` out, whole or not at all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kat_data import __version__
from kat_data.domain.run_statistics import RunStatistics
from kat_data.domain.split import check_split_name
from kat_data.errors import SnapshotError
from kat_data.snapshots.build.finish import finish
from kat_data.snapshots.build.given_rows import plan_rows
from kat_data.snapshots.build.shards import RECEIPT, OnRows, Plan, clear_receipts, write_shards
from kat_data.snapshots.folder import exclusive, publish, resumable
from kat_data.snapshots.manifest import Hashed, Manifest, Parent, Shard, Unhashed
from kat_data.snapshots.mixture import targets
from kat_data.snapshots.read import check_name, open_snapshot, versions
from kat_data.snapshots.record import SCHEMA_VERSION, Row, TrainingStage
from kat_data.snapshots.schema import writer_versions
from kat_data.snapshots.survey.statistics import Statistics
from kat_data.snapshots.survey.survey import Survey, survey

SHARD_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSpec:
    """What to build beside its rows; everything before `built_at` is covered by the content hash.

    `recipe` is the resolved recipe, without secrets; `models` are names by role; `verifiers` has a mapping
    for each `verifier`, with the `sha256` of its labelled cases; `error_rates` has what was measured of them on this
    machine, by the same `verifier`; `decontamination` has what was measured of it, if any was done; `funnel` has one
    mapping for each line of the run's funnel; `money` is what the run spent. All of them hold JSON values. `splits` are
    the splits that were asked for beside `train`, each with a share or a number of rows.
    `statistics` are those of the run, and `allowed_licences` those that its recipe names, if any.
    `parent` is the snapshot that it follows; where it names none, that is the version before.
    """

    name: str
    stage: TrainingStage
    seed: int
    recipe: Mapping[str, Any]
    models: Mapping[str, list[str]] = field(default_factory=dict)
    verifiers: list[dict[str, Any]] = field(default_factory=list)
    splits: Mapping[str, float] = field(default_factory=dict)
    built_at: datetime
    funnel: list[dict[str, Any]] = field(default_factory=list)
    money: Mapping[str, Any] = field(default_factory=dict)
    error_rates: list[dict[str, Any]] = field(default_factory=list)
    decontamination: dict[str, Any] | None = None
    notes: str = ""
    statistics: RunStatistics | None = None
    allowed_licences: Sequence[str] = ()
    parent: Parent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where the snapshot stands; `existed` says that an earlier version holds the same content: nothing was written.

    `surplus` counts the rows that could be in it, of which its recipe's mixture asks for no more. `withdrawn` counts
    those that are in it, and were withdrawn while it was written.
    """

    path: Path
    manifest: Manifest
    existed: bool
    surplus: int = 0
    withdrawn: int = 0

    @property
    def label(self) -> str:
        """The snapshot as people name it: `name@version`."""
        return self.manifest.label


def write_snapshot(
    root: Path,
    spec: SnapshotSpec,
    splits: Mapping[str, Iterable[Row]],
    *,
    known: Mapping[int, str] = MappingProxyType({}),
    shard_bytes: int = SHARD_BYTES,
) -> Written:
    """Build the next version of a snapshot of these rows; `build_snapshot` says what holds for it.

    Rows may come in any order. Where the recipe has a mixture that rows can tell, the snapshot takes at most the target
    of each stratum, the first in the seed's order. Raises `SnapshotError`, also where two splits share a row.
    """
    check_names(spec.name, splits)
    wanted = targets(spec.recipe, spec.stage)
    plan = plan_rows(splits, spec.stage, spec.seed, wanted, shard_bytes=shard_bytes)
    return build_snapshot(root, spec, plan, known=known)


def build_snapshot(
    root: Path,
    spec: SnapshotSpec,
    plan: Plan,
    *,
    known: Mapping[int, str] = MappingProxyType({}),
    on_rows: OnRows = lambda rows: None,
    note: Callable[["Written"], None] = lambda written: None,
) -> Written:
    """Build the next version of a snapshot, or return the version that holds the same content already.

    `note` is called before the snapshot becomes visible, so that no snapshot is there of which nobody knows; what it
    raises leaves none.

    `known` gives versions of the name that stand elsewhere, or stood, with their content hashes: content that is among
    them keeps its version, and other content takes none of theirs. No half snapshot is ever visible; a build that did
    not come to its end left the shards that it finished, and the next one of the name takes over those that it would
    write itself. Raises `SnapshotError` where there is no row, the disk is full or another process builds the same
    name.
    """
    if not plan.shards:
        raise SnapshotError(f"there is no row for {spec.name}: no sample was accepted, or the mixture selects none")
    parent = root / spec.name
    with exclusive(parent), resumable(parent, f"data/*{RECEIPT}") as folder:
        shards = write_shards(folder, plan, spec.stage, on_rows)
        found = survey((folder / shard.path for shard in shards), spec.stage, targets(spec.recipe, spec.stage))
        hashed = _hashed(spec, found, plan, shards)
        existing = versions(root, spec.name)
        if same := _find(parent, existing, hashed.content_hash):
            written = replace(same, surplus=plan.surplus)
            note(written)
            return written
        version = _version(hashed.content_hash, existing, known)
        spec = replace(spec, parent=spec.parent or _before(parent, version, existing, known))
        unhashed = _unhashed(spec, version, plan.surplus, found.statistics)
        manifest = finish(folder, Manifest(hashed=hashed, unhashed=unhashed))
        written = Written(path=parent / str(version), manifest=manifest, existed=False, surplus=plan.surplus)
        note(written)
        clear_receipts(folder)
        publish(folder, written.path)
    return written


def check_names(name: str, splits: Iterable[str]) -> None:
    """Raise `SnapshotError` unless these can name a snapshot and its splits."""
    check_name(name)
    try:
        for split in splits:
            check_split_name(split)
    except ValueError as error:
        raise SnapshotError(str(error)) from error


def _hashed(spec: SnapshotSpec, found: Survey, plan: Plan, shards: tuple[Shard, ...]) -> Hashed:
    return Hashed(
        name=spec.name,
        stage=spec.stage,
        schema_version=SCHEMA_VERSION,
        seed=spec.seed,
        recipe=dict(spec.recipe),
        models=dict(spec.models),
        verifiers=spec.verifiers,
        rows=found.rows,
        duplicates=plan.duplicates,
        composition=found.composition,
        sources=found.sources,
        licences=found.licences,
        shards=shards,
        code_version=__version__,
        writer=writer_versions(),
        transitions=found.transitions,
        distribution=found.distribution,
        splits=dict(spec.splits) or None,
    )


def _unhashed(spec: SnapshotSpec, version: int, surplus: int, statistics: Statistics) -> Unhashed:
    return Unhashed(
        version=version,
        built_at=spec.built_at.isoformat(timespec="seconds"),
        funnel=spec.funnel,
        money=dict(spec.money),
        error_rates=spec.error_rates,
        decontamination=spec.decontamination,
        notes=spec.notes,
        surplus=surplus,
        statistics=replace(statistics, run=spec.statistics),
        allowed_licences=tuple(spec.allowed_licences),
        parent=spec.parent,
    )


def _before(folder: Path, version: int, existing: Iterable[int], known: Mapping[int, str]) -> Parent | None:
    """Return the version before, wherever it stands; none where there is none, or where it is damaged."""
    before = max((other for other in [*existing, *known] if other < version), default=0)
    if before in known:
        return Parent(label=f"{folder.name}@{before}", content_hash=known[before])
    with suppress(SnapshotError):
        return open_snapshot(folder / str(before)).reference if before else None
    return None


def _version(content_hash: str, existing: list[int], known: Mapping[int, str]) -> int:
    for version, other in known.items():
        if other == content_hash and version not in existing:
            return version
    return max([*existing, *known], default=0) + 1


def _find(parent: Path, existing: Iterable[int], content_hash: str) -> Written | None:
    for version in existing:
        try:
            snapshot = open_snapshot(parent / str(version))
        except SnapshotError:
            continue  # A damaged version is `verify`'s to report, and must not stop the next build.
        if snapshot.manifest.hashed.content_hash == content_hash:
            return Written(path=snapshot.path, manifest=snapshot.manifest, existed=True)
    return None
