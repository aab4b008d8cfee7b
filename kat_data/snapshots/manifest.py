"""The manifest: what a snapshot says of itself, in a hashed part (what it is) and an unhashed one (how it came about).

The content hash covers the hashed part alone. That part has no version, no clock and no money, so the same rows from
the same recipe are recognised as the same snapshot; the seal covers both parts, so that no byte can change unseen.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from kat_data.domain.codec import from_python
from kat_data.errors import SnapshotError
from kat_data.hashing import ADDED_LATER, canonical_json, content_hash
from kat_data.snapshots.composition import Cell
from kat_data.snapshots.distribution import Distribution
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.survey.statistics import Statistics

MANIFEST = "manifest.json"
CARD = "README.md"
PLOT = "composition.png"


def shard_path(split: str, number: int) -> str:
    """Return where a split's shard of a number, from 0, lies within the snapshot's folder."""
    return f"data/{split}-{number:05d}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One Parquet file; `path` is relative to the snapshot's folder."""

    path: str
    split: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The snapshot that another one follows: its label when that was built, and its content hash, which stays."""

    label: str
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    """What the snapshot is; `duplicates` counts rows left out because an earlier one holds the same sample.

    `verifiers` names each verifier, with the sha256 of the labelled cases that it is measured on.
    `transitions` counts how modes go on from turn to turn, by category; snapshots of the first schema have none.
    `distribution` has the mixture reached, difficulties and pass rates; the first snapshots do not state it.
    `splits` is what was asked for beside `train`: a share or a number of rows each.
    """

    name: str
    stage: TrainingStage
    schema_version: int
    seed: int
    recipe: dict[str, Any]
    models: dict[str, list[str]]
    verifiers: list[dict[str, Any]]
    rows: int
    duplicates: int
    composition: tuple[Cell, ...]
    sources: dict[str, int]
    licences: dict[str, int]
    shards: tuple[Shard, ...]
    code_version: str
    writer: dict[str, str]
    transitions: dict[str, dict[str, int]] | None = field(default=None, metadata=ADDED_LATER)
    distribution: Distribution | None = field(default=None, metadata=ADDED_LATER)
    splits: dict[str, int | float] | None = field(default=None, metadata=ADDED_LATER)

    @property
    def content_hash(self) -> str:
        return content_hash(self).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unhashed:
    """How the snapshot came about: its place among versions, the clock, the money, and checksums of card and plot.

    The first snapshots have no plot. What is drawn follows from the hashed part, but its bytes hang on matplotlib's
    version too, so that they are no part of the content. `plots` has the checksums of the other plots, by file name.

    `statistics` are for people; `allowed_licences` are those that the recipe allows, where it names any.
    `surplus` counts the rows that were there and that the recipe's mixture asks for no more of.
    `error_rates` are the verifiers' as measured where it was built: what can be measured depends on the machine.
    `decontamination` is what was measured of it, where the recipe left out benchmarks' items.
    `parent` is the version before, or what the builder named in its place; the first version has none.
    """

    version: int
    built_at: str
    funnel: list[dict[str, Any]] = field(default_factory=list)
    money: dict[str, Any] = field(default_factory=dict)
    error_rates: list[dict[str, Any]] = field(default_factory=list)
    notes: str = ""
    card_sha256: str = ""
    plot_sha256: str | None = field(default=None, metadata=ADDED_LATER)
    plots: dict[str, str] = field(default_factory=dict, metadata=ADDED_LATER)
    decontamination: dict[str, Any] | None = field(default=None, metadata=ADDED_LATER)
    statistics: Statistics | None = field(default=None, metadata=ADDED_LATER)
    allowed_licences: tuple[str, ...] = field(default=(), metadata=ADDED_LATER)
    surplus: int = field(default=0, metadata=ADDED_LATER)
    parent: Parent | None = field(default=None, metadata=ADDED_LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Both parts."""

    hashed: Hashed
    unhashed: Unhashed

    @property
    def splits(self) -> dict[str, int]:
        """Rows by split, in the order in which the splits were given."""
        rows: dict[str, int] = {}
        for shard in self.hashed.shards:
            rows[shard.split] = rows.get(shard.split, 0) + shard.rows
        return rows

    @property
    def label(self) -> str:
        """The snapshot as people name it: `name@version`."""
        return f"{self.hashed.name}@{self.unhashed.version}"

    @property
    def size(self) -> int:
        """The bytes of all shards together."""
        return sum(shard.bytes for shard in self.hashed.shards)

    def to_bytes(self) -> bytes:
        """Return the file's bytes: sorted keys, two-space indent, content hash and seal included."""
        return _serialise(self.hashed, self.unhashed)


def from_bytes(data: bytes) -> Manifest:
    """Read a manifest; raises `SnapshotError` where any byte differs from what was written."""
    try:
        document = orjson.loads(data)
        if _serialise(document["hashed"], document["unhashed"]) != data:
            raise SnapshotError(f"{MANIFEST} was changed after it was written: its seal does not match")
        return from_python(Manifest, {"hashed": document["hashed"], "unhashed": document["unhashed"]})
    except (KeyError, TypeError, ValueError) as error:
        raise SnapshotError(f"{MANIFEST} cannot be read as a manifest: {error}") from error


def _serialise(hashed: Any, unhashed: Any) -> bytes:
    document = {
        "content_hash": content_hash(hashed).hex(),
        "hashed": hashed,
        "seal": content_hash([hashed, unhashed]).hex(),
        "unhashed": unhashed,
    }
    plain = orjson.loads(canonical_json(document))
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
