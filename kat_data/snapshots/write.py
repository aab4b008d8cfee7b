"""Build a snapshot: rows in, an immutable folder `<root>/<name>/<version>` out, whole or not at all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kat_data import __version__
from kat_data.errors import SnapshotError
from kat_data.hashing import canonical_json, sha256
from kat_data.snapshots.card import card
from kat_data.snapshots.composition import compose, count_transitions
from kat_data.snapshots.distribution import distribute
from kat_data.snapshots.folder import exclusive, publish, unfinished, write_file
from kat_data.snapshots.manifest import CARD, MANIFEST, PLOT, Hashed, Manifest, Parent, Shard, Unhashed
from kat_data.snapshots.mixture import targets, within
from kat_data.snapshots.plot import plot
from kat_data.snapshots.read import check_name, open_snapshot, versions
from kat_data.snapshots.record import SCHEMA_VERSION, Record, Row, TrainingStage, order_key, to_record
from kat_data.snapshots.schema import to_parquet, writer_versions

SHARD_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSpec:
    """What to build beside its rows; everything before `built_at` is covered by the content hash.

    `recipe` is the resolved recipe, without secrets; `models` are names by role; `verifiers` has a mapping
    for each `verifier`, with the `sha256` of its labelled cases; `error_rates` has what was measured of them on this
    machine, by the same `verifier`; `decontamination` has what was measured of it, if any was done; `funnel` has one
    mapping for each line of the run's funnel; `money` is what the run spent. All of them hold JSON values.
    `parent` is the snapshot that it follows; where it names none, that is the version before.
    """

    name: str
    stage: TrainingStage
    seed: int
    recipe: Mapping[str, Any]
    models: Mapping[str, list[str]] = field(default_factory=dict)
    verifiers: list[dict[str, Any]] = field(default_factory=list)
    built_at: datetime
    funnel: list[dict[str, Any]] = field(default_factory=list)
    money: Mapping[str, Any] = field(default_factory=dict)
    error_rates: list[dict[str, Any]] = field(default_factory=list)
    decontamination: dict[str, Any] | None = None
    notes: str = ""
    parent: Parent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where the snapshot stands; `existed` says that an earlier version holds the same content: nothing was written.

    `surplus` are the ids of rows that were given and are not in it, as its recipe's mixture asks for no more of them.
    """

    path: Path
    manifest: Manifest
    existed: bool
    surplus: frozenset[str] = frozenset()

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
    """Build the next version of a snapshot, or return the version that holds the same content already.

    Rows may come in any order. Where the recipe has a mixture that rows can tell, the snapshot takes at most the target
    of each stratum, the first in the seed's order. `known` gives versions of the name that stand elsewhere, or stood,
    with their content hashes: content that is among them keeps its version, and other content takes none of theirs.
    Raises `SnapshotError` where there is no row, two splits share one, the disk is full or another process builds the
    same name; no half snapshot is ever visible.
    """
    check_name(spec.name)
    for split in splits:
        check_name(split)
    records, duplicates = _distinct(splits, spec)
    records, surplus = _mixed(records, spec)
    parent = root / spec.name
    with exclusive(parent), unfinished(parent) as folder:
        shards = tuple(_write_shards(folder, records, spec.stage, shard_bytes))
        hashed = _hashed(spec, [r for rows in records.values() for r in rows], duplicates, shards)
        existing = versions(root, spec.name)
        if same := _find(parent, existing, hashed.content_hash):
            return replace(same, surplus=surplus)
        version = _version(hashed.content_hash, existing, known)
        spec = replace(spec, parent=spec.parent or _before(parent, version, existing, known))
        manifest = _write_manifest(folder, Manifest(hashed=hashed, unhashed=_unhashed(spec, version, len(surplus))))
        publish(folder, parent / str(version))
    return Written(path=parent / str(version), manifest=manifest, existed=False, surplus=surplus)


def _distinct(splits: Mapping[str, Iterable[Row]], spec: SnapshotSpec) -> tuple[dict[str, list[Record]], int]:
    records: dict[str, list[Record]] = {}
    duplicates = 0
    home: dict[str, str] = {}
    for split, rows in splits.items():
        ordered = sorted((to_record(row, spec.stage) for row in rows), key=canonical_json)
        kept = {record["id"]: record for record in reversed(ordered)}
        duplicates += len(ordered) - len(kept)
        for row_id in kept:
            if home.setdefault(row_id, split) != split:
                raise SnapshotError(
                    f"row {row_id[:12]} stands in the splits {home[row_id]} and {split}: keep it in one"
                )
        if kept:
            records[split] = sorted(kept.values(), key=lambda record: order_key(spec.seed, record))
    return records, duplicates


def _mixed(records: dict[str, list[Record]], spec: SnapshotSpec) -> tuple[dict[str, list[Record]], frozenset[str]]:
    """Return what the recipe's mixture takes of the records, by split, and the ids of the others."""
    ordered = [record for rows in records.values() for record in rows]
    ids = within(ordered, targets(spec.recipe, spec.stage))
    taken = {split: [record for record in rows if record["id"] in ids] for split, rows in records.items()}
    taken = {split: rows for split, rows in taken.items() if rows}
    if not taken:
        raise SnapshotError(f"there is no row for {spec.name}: no sample was accepted, or the mixture selects none")
    return taken, frozenset(record["id"] for record in ordered if record["id"] not in ids)


def _write_shards(
    folder: Path, records: Mapping[str, list[Record]], stage: TrainingStage, shard_bytes: int
) -> Iterator[Shard]:
    for split, rows in records.items():
        for number, chunk in enumerate(_chunks(rows, shard_bytes)):
            path = f"data/{split}-{number:05d}.parquet"
            data = to_parquet(chunk, stage)
            write_file(folder / path, [data])
            yield Shard(path=path, split=split, rows=len(chunk), bytes=len(data), sha256=sha256(data).hex())


def _chunks(rows: Iterable[Record], limit: int) -> Iterator[list[Record]]:
    """Cut rows into runs of at most `limit` bytes of JSON each, or of one row that alone is longer."""
    chunk: list[Record] = []
    size = 0
    for row in rows:
        length = len(canonical_json(row))
        if chunk and size + length > limit:
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += length
    if chunk:
        yield chunk


def _hashed(spec: SnapshotSpec, records: list[Record], duplicates: int, shards: tuple[Shard, ...]) -> Hashed:
    return Hashed(
        name=spec.name,
        stage=spec.stage,
        schema_version=SCHEMA_VERSION,
        seed=spec.seed,
        recipe=dict(spec.recipe),
        models=dict(spec.models),
        verifiers=spec.verifiers,
        rows=len(records),
        duplicates=duplicates,
        composition=compose(records),
        sources=dict(sorted(Counter(r["source"] for r in records).items())),
        licences=dict(sorted(Counter(r["licence"] for r in records).items())),
        shards=shards,
        code_version=__version__,
        writer=writer_versions(),
        transitions=count_transitions(records),
        distribution=distribute(records, targets(spec.recipe, spec.stage)),
    )


def _unhashed(spec: SnapshotSpec, version: int, surplus: int) -> Unhashed:
    return Unhashed(
        version=version,
        built_at=spec.built_at.isoformat(timespec="seconds"),
        funnel=spec.funnel,
        money=dict(spec.money),
        error_rates=spec.error_rates,
        decontamination=spec.decontamination,
        notes=spec.notes,
        surplus=surplus,
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


def _write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write the plot, then the card that shows it, then the manifest that has the checksums of both."""
    assert manifest.hashed.distribution is not None
    image = plot(manifest, manifest.hashed.distribution)
    write_file(folder / PLOT, [image])
    drawn = replace(manifest, unhashed=replace(manifest.unhashed, plot_sha256=sha256(image).hex()))
    text = card(drawn).encode()
    write_file(folder / CARD, [text])
    sealed = replace(drawn, unhashed=replace(drawn.unhashed, card_sha256=sha256(text).hex()))
    write_file(folder / MANIFEST, [sealed.to_bytes()])
    return sealed
