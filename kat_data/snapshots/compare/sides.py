"""Two manifests side by side: what the snapshots are, what they are made of, and what of their recipes differs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kat_data.snapshots.composition import totals
from kat_data.snapshots.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Rows that share what `what` names, in the one snapshot and in the other."""

    what: tuple[str, ...]
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One value that is not the same on both sides: `key` leads to it, none where a side does not have it."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What the manifests say; counts hold both what differs and what does not, parts what differs alone."""

    facts: tuple[Part, ...]
    composition: tuple[Count, ...]
    bands: tuple[Count, ...]
    domains: tuple[Count, ...]
    splits: tuple[Count, ...]
    sources: tuple[Count, ...]
    licences: tuple[Count, ...]
    transitions: tuple[Count, ...]
    recipe: tuple[Part, ...]


def side_by_side(before: Manifest, after: Manifest) -> Sides:
    """Put two manifests side by side; no row is read."""
    old, new = before.hashed, after.hashed
    return Sides(
        facts=tuple(Part(key=key, before=one, after=_facts(after)[key]) for key, one in _facts(before).items()),
        composition=_counts(totals(old.composition, "category", "mode"), totals(new.composition, "category", "mode")),
        bands=_counts(totals(old.composition, "band"), totals(new.composition, "band")),
        domains=_counts(totals(old.composition, "domain"), totals(new.composition, "domain")),
        splits=_counts(_keyed(before.splits), _keyed(after.splits)),
        sources=_counts(_keyed(old.sources), _keyed(new.sources)),
        licences=_counts(_keyed(old.licences), _keyed(new.licences)),
        transitions=_counts(_steps(before), _steps(after)),
        recipe=differing(_made_by(before), _made_by(after)),
    )


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return every value of two nested mappings that is not the same, by its path in dots."""
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    return tuple(
        Part(key=key, before=old.get(key), after=new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what a mapping holds; of a list of named things, such as stages, their order and what each holds."""
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) and len(one) == 1 for one in value):
        yield path, [name for one in value for name in one]
        for one in value:
            yield from _leaves(one, path)
    else:
        yield path, value


def _made_by(manifest: Manifest) -> dict[str, Any]:
    """Return all that decided the content: the recipe first, then what stands beside it."""
    hashed = manifest.hashed
    verifiers = {each["verifier"]: each.get("sha256") for each in hashed.verifiers}
    return {**hashed.recipe, "models by role": hashed.models, "verifiers' cases": verifiers, "seed": hashed.seed}


def _facts(manifest: Manifest) -> dict[str, Any]:
    hashed, unhashed = manifest.hashed, manifest.unhashed
    return {
        "snapshot": manifest.label,
        "rows": hashed.rows,
        "stage": hashed.stage.value,
        "schema version": hashed.schema_version,
        "bytes": manifest.size,
        "built at": unhashed.built_at,
        "parent": unhashed.parent.label if unhashed.parent else None,
        "code version": hashed.code_version,
        "surplus": unhashed.surplus,
        "content hash": hashed.content_hash,
    }


def _steps(manifest: Manifest) -> dict[tuple[str, ...], int]:
    found = manifest.hashed.transitions or {}
    return {(category, step): rows for category, steps in found.items() for step, rows in steps.items()}


def _keyed(counts: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(name,): rows for name, rows in counts.items()}


def _counts(before: Mapping[tuple[str, ...], int], after: Mapping[tuple[str, ...], int]) -> tuple[Count, ...]:
    keys = sorted(before.keys() | after.keys())
    return tuple(Count(what=key, before=before.get(key, 0), after=after.get(key, 0)) for key in keys)
