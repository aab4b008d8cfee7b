"""What `kat lineage` is asked for: a sample, an item, a snapshot or one of its rows, in the registry and in folders."""

import re
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from kat_data.domain.codec import from_python
from kat_data.domain.sample import Sample
from kat_data.domain.template import render_messages, render_prompt_completion
from kat_data.errors import NotFoundError, UserError
from kat_data.registry.hash_prefix import hash_range
from kat_data.registry.lineage import (
    is_hash_start,
    labelled,
    named_samples,
    noted_versions,
    sample_in,
    sample_lineage,
    snapshot_lineage,
)
from kat_data.snapshots import read
from kat_data.snapshots.read import Snapshot
from kat_data.snapshots.row import row_at, row_with
from kat_data.snapshots.versions.history import read_history

Row = dict[str, Any]

_ROW = re.compile(r"(?P<label>[^:#]+)(?:#(?P<start>[0-9a-fA-F]+)|:(?:(?P<split>[^:#]+):)?(?P<number>[0-9]+))")
_VERSION = re.compile(r"(?P<name>[^@]+)@(?P<version>[0-9]+)")


def trace(connection: Connection, root: Path, ident: str) -> Row:
    """Return the lineage of what `ident` names, with its `kind`: `sample`, `item`, `snapshot` or `row`.

    `ident` is a sample's id or the start of its hash, `RUN/QUERY`, a snapshot's label or the start of its content hash
    (a number of a few digits is no start of a hash), or a row of a snapshot as `LABEL:NUMBER`, `LABEL:SPLIT:NUMBER` or
    `LABEL#START`. A `row` is one that the registry does not know, with what its folder says.

    Raises `NotFoundError`, or `UserError` where several things may be meant.
    """
    if row := _ROW.fullmatch(ident):
        return _row(connection, root, row)
    if "@" not in ident and "/" in ident:
        return sample(connection, ident)
    if "@" in ident or not (ident.isdecimal() or hash_range(ident)):
        return _snapshot(connection, root, ident)
    return _meant(connection, root, ident)


def _meant(connection: Connection, root: Path, ident: str) -> Row:
    """Return the lineage of the one thing that has these digits as its name or id, or at the start of its hash."""
    version = _newest(connection, root, ident)
    samples = named_samples(connection, ident)
    noted = snapshot_lineage(connection, ident) if is_hash_start(ident) else None
    meant = [f"sample {found['hash'][:16]}" for found in samples]
    if version is not None:
        meant.append(f"snapshot {ident}@{version}")
    if noted is not None:
        meant.append(f"snapshot {noted['name']}@{noted['version']}")
    if len(meant) > 1:
        raise UserError(f"{ident} may be {' or '.join(meant)}: name the one that you mean in this way")
    if version is not None:
        return _snapshot(connection, root, ident)
    if noted is not None:
        return _known(noted)
    if not samples and is_hash_start(ident):
        raise NotFoundError(
            f"no sample and no snapshot has a hash that begins with {ident}: `kat samples list` and "
            "`kat snapshots list` show them"
        )
    return sample(connection, ident)


def _newest(connection: Connection, root: Path, name: str) -> int | None:
    """Return the newest version of a snapshot in `root`, or else of those that the registry knows."""
    versions = read.versions(root, name) if name in read.names(root) else noted_versions(connection, name)
    return max(versions, default=None)


def sample(connection: Connection, ident: str | int) -> Row:
    """Return a sample's or an item's lineage with its training text and the aliases of its snapshots."""
    found = sample_lineage(connection, ident)
    for snapshot in found["snapshots"]:
        snapshot["aliases"] = _aliases(Path(snapshot["path"]))
    stored = found["sample"]
    return {
        "kind": "sample" if stored else "item",
        **found,
        "messages": training_text(stored["sample"]) if stored else None,
    }


def training_text(stored: Row) -> list[Row]:
    """Return the messages that a stored sample is trained on.

    Whole turns, a prompt and its completion where nobody judged the mode, or the prompt of a pair.
    """
    if "turns" not in stored:
        return [{"role": message["role"], "content": message["content"]} for message in stored["messages"]]
    found = from_python(Sample, stored)
    if all(turn.judge_analysis for turn in found.turns):
        return render_messages(found)
    return [message for part in render_prompt_completion(found) for message in part]


def _row(connection: Connection, root: Path, named: re.Match[str]) -> Row:
    snapshot = _open(connection, root, named["label"])
    if named["start"]:
        record = row_with(snapshot, named["start"])
    else:
        record = row_at(snapshot, int(named["number"]), named["split"])
    known = sample_in(connection, record["id"], snapshot.manifest.hashed.content_hash)
    if known is None:
        return {"kind": "row", "row": record, "snapshot": _told(snapshot)}
    return sample(connection, known)


def _snapshot(connection: Connection, root: Path, label: str) -> Row:
    try:
        snapshot = _open(connection, root, label)
    except NotFoundError:
        if (noted := _noted(connection, label)) is None:
            raise
        return _known(noted)  # its folder is elsewhere
    known = snapshot_lineage(connection, snapshot.manifest.hashed.content_hash)
    if known is not None:
        del known["manifest"]  # its parts are told from the folder
    return {"kind": "snapshot", "known": known is not None, **(known or _UNKNOWN), **_told(snapshot)}


_UNKNOWN: Row = {"runs": [], "withdrawn": None, "training": []}


def _known(noted: Row) -> Row:
    manifest = noted.pop("manifest")
    path = Path(noted["path"])
    return {"kind": "snapshot", "known": True, **noted, "aliases": _aliases(path), **_parts(manifest)}


def _open(connection: Connection, root: Path, label: str) -> Snapshot:
    """Open the snapshot of a label in `root`, or where the registry says that it stands."""
    try:
        return read.open_snapshot(read.find(root, label))
    except NotFoundError:
        if noted := _noted(connection, label):
            return read.open_snapshot(Path(noted["path"]))
        raise


def _noted(connection: Connection, label: str) -> Row | None:
    named = _VERSION.fullmatch(label)
    name, version = (named["name"], int(named["version"])) if named else (label, None)
    content_hash = labelled(connection, name, version)
    return snapshot_lineage(connection, content_hash) if content_hash else None


def _told(snapshot: Snapshot) -> Row:
    """What a snapshot's folder says of it."""
    manifest = snapshot.manifest
    return {
        "name": manifest.hashed.name,
        "version": manifest.unhashed.version,
        "hash": manifest.hashed.content_hash,
        "stage": manifest.hashed.stage.value,
        "path": str(snapshot.path.resolve()),
        "aliases": _aliases(snapshot.path),
        **_parts(orjson.loads(manifest.to_bytes())),
    }


def _parts(manifest: Row) -> Row:
    hashed, unhashed = manifest["hashed"], manifest["unhashed"]
    return {
        "built_at": unhashed["built_at"],
        "rows": hashed["rows"],
        "parent": unhashed.get("parent"),
        "sources": hashed["sources"],
        "licences": hashed["licences"],
        "models": hashed["models"],
        "verifiers": hashed["verifiers"],
        "seed": hashed["seed"],
        "code_version": hashed["code_version"],
        "money": unhashed["money"],
        "funnel": unhashed["funnel"],
        "recipe": hashed["recipe"],
    }


def _aliases(folder: Path) -> list[str]:
    """The aliases of the version in this folder, where it can be read from here."""
    if not folder.name.isdecimal() or not folder.parent.is_dir():
        return []
    return [alias for alias, version in read_history(folder.parent).aliases.items() if version == int(folder.name)]
