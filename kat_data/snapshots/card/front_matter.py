"""The head of a snapshot's card, in the words of the Hugging Face Hub: licence, size, splits and their files."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from kat_data.domain.licence import canonical
from kat_data.snapshots.manifest import Manifest

_CREATIVE = {f"cc-{terms}-{version}" for terms in ("by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
             for version in ("2.0", "2.5", "3.0", "4.0")}  # fmt: skip
_HUB_LICENCES = frozenset(_CREATIVE) | {
    "afl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc0-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0",
    "eupl-1.1", "eupl-1.2", "gfdl", "isc", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "osl-3.0",
    "pddl", "postgresql", "unlicense", "wtfpl", "zlib",
}  # fmt: skip
"""Licences that the Hub knows by the names that `domain.licence` has for them."""

_GNU = re.compile(r"(?P<licence>(?:a|l)?gpl-[0-9.]+)-(?:only|or-later)")
_SPELLED = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"}
_CODES = {
    "arabic": "ar", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr", "german": "de", "hindi": "hi",
    "italian": "it", "japanese": "ja", "korean": "ko", "polish": "pl", "portuguese": "pt", "russian": "ru",
    "spanish": "es", "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi",
}  # fmt: skip
"""The Hub's codes of languages, by the names that taxonomies have for them."""
_NUMBER = "[0-9]" * 5
"""A shard's number as a glob: `*` would also find the shards of splits whose names begin with this one's and a dash."""
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)


def front_matter(manifest: Manifest) -> str:
    """Return the YAML between the lines `---` of the card."""
    hashed = manifest.hashed
    files = [{"split": split, "path": f"data/{split}-{_NUMBER}.parquet"} for split in manifest.splits]
    bytes_of = {split: sum(s.bytes for s in hashed.shards if s.split == split) for split in manifest.splits}
    sizes = [
        {"name": split, "num_bytes": bytes_of[split], "num_examples": rows} for split, rows in manifest.splits.items()
    ]
    matter: dict[str, Any] = {
        "pretty_name": hashed.name,
        **_languages(manifest),
        **_licence(hashed.licences),
        "task_categories": ["text-generation"],
        "tags": ["kat-data", "autothink", "reasoning", "synthetic", hashed.stage.value],
        "size_categories": [_size(hashed.rows)],
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"splits": sizes, "download_size": sum(shard.bytes for shard in hashed.shards)},
    }
    return yaml.safe_dump(matter, sort_keys=False, allow_unicode=True, width=1_000)


def _languages(manifest: Manifest) -> dict[str, list[str]]:
    """Name the languages that models tagged, the most frequent first; those alone that have a code here."""
    statistics = manifest.unhashed.statistics
    tagged = statistics.run.languages if statistics is not None and statistics.run is not None else {}
    ordered = sorted(tagged, key=lambda name: (-tagged[name], name))
    codes = [_CODES[name.casefold()] for name in ordered if name.casefold() in _CODES]
    return {"language": codes} if codes else {}


def _licence(licences: Iterable[str]) -> dict[str, Any]:
    """Name every licence that the Hub knows; the others together are `other`, with a name that it takes."""
    named = {name: hub_licence(name) for name in licences}
    known = sorted({found for found in named.values() if found})
    others = sorted({canonical(name) for name, found in named.items() if not found})
    if not others:
        return {"license": known[0] if len(known) == 1 else known}
    label = _label(others[0]) if len(others) == 1 else "several"
    return {"license": [*known, "other"] if known else "other", "license_name": label}


def hub_licence(name: str) -> str | None:
    """Return the Hub's identifier of a licence, none where it has none."""
    plain = canonical(name)
    plain = _SPELLED.get(plain, plain)
    if gnu := _GNU.fullmatch(plain):
        return gnu["licence"]
    return plain if plain in _HUB_LICENCES else None


def _label(licence: str) -> str:
    """A licence's own name as the Hub takes it: small letters, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", licence.casefold()).strip("-.") or "unnamed"


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "n>100M")
