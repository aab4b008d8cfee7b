"""The taxonomy that taggers choose from: domains with nested subjects, anchored difficulty, further labels."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kat_data.domain.category import Category
from kat_data.hashing import sha256

SHIPPED = "taxonomy.v1.yaml"
OTHER = "other"
LEVELS = range(1, 11)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Subject(_Part):
    """A domain or one of its subjects: the line that taggers read, and the category that it is at home in."""

    about: str = ""
    category: Category | None = None
    subjects: dict[str, "Subject"] = Field(default_factory=dict)


class Label(_Part):
    """A further label and the values that it can have."""

    about: str
    values: tuple[str, ...] = Field(min_length=2)


class Taxonomy(_Part):
    """Domains, levels of difficulty by category, and labels; every domain's and subject's name is unique.

    A taxonomy of the user's extends the shipped one, unless it stands `alone`.
    """

    alone: bool = Field(False, description="Keep nothing of the shipped taxonomy.")
    domains: dict[str, Subject] = Field(default_factory=dict)
    difficulty: dict[Category | Literal["any"], dict[int, str]] = Field(default_factory=dict)
    labels: dict[str, Label] = Field(default_factory=dict)

    @field_validator("difficulty")
    @classmethod
    def _levels_exist(cls, levels: dict[str, dict[int, str]]) -> dict[str, dict[int, str]]:
        for category, anchors in levels.items():
            if strange := [level for level in anchors if level not in LEVELS]:
                raise ValueError(f"{category}: difficulty goes from 1 to 10, and not to {strange[0]}")
        return levels

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Taxonomy":
        counts = Counter(name.casefold() for name, _, _ in self.walk())
        if twice := next((name for name, count in counts.items() if count > 1), None):
            raise ValueError(f"the name `{twice}` stands twice among domains and subjects: every name is unique")
        return self

    @property
    def hash(self) -> str:
        """The SHA-256 digest, hex, of the content in its own order, which decides what taggers read."""
        return sha256(self.model_dump_json().encode()).hex()

    def walk(self) -> Iterator[tuple[str, Subject, int]]:
        """Yield every domain and subject with its depth, each followed by its own; hints are handed down."""
        return _walk(self.domains, None, 0)

    def names(self) -> tuple[str, ...]:
        """Return the names of all domains and subjects, in order."""
        return tuple(name for name, _, _ in self.walk())

    def anchors(self, category: Category) -> dict[int, str]:
        """Return the levels of difficulty that are described for `category`, in order."""
        found = self.difficulty.get(category) or self.difficulty.get("any") or {}
        return dict(sorted(found.items()))

    def extended(self, own: "Taxonomy") -> "Taxonomy":
        """Return this taxonomy with another's parts in it; raises `ValueError` where a name then stands twice."""
        if own.alone:
            return own
        return Taxonomy(
            domains=_merged(self.domains, own.domains),
            difficulty={**self.difficulty, **own.difficulty},
            labels={**self.labels, **own.labels},
        )


def shipped_text() -> str:
    """Return the shipped taxonomy's file, to copy from."""
    return _shipped_bytes().decode()


@cache
def shipped_taxonomy() -> Taxonomy:
    """Read the taxonomy that comes with the package."""
    import yaml

    return Taxonomy.model_validate(yaml.safe_load(_shipped_bytes()))


@cache
def shipped_hash() -> str:
    """Return the SHA-256 digest, hex, of the shipped taxonomy's file."""
    return sha256(_shipped_bytes()).hex()


def _shipped_bytes() -> bytes:
    return (files(__package__) / SHIPPED).read_bytes()


def _walk(subjects: Mapping[str, Subject], category: Category | None, depth: int) -> Iterator[tuple[str, Subject, int]]:
    for name, subject in subjects.items():
        hint = subject.category or category
        yield name, subject.model_copy(update={"category": hint}), depth
        yield from _walk(subject.subjects, hint, depth + 1)


def _merged(ours: Mapping[str, Subject], theirs: Mapping[str, Subject]) -> dict[str, Subject]:
    merged = dict(ours)
    for name, subject in theirs.items():
        old = merged.get(name)
        merged[name] = subject if old is None else _joined(old, subject)
    if OTHER in merged:  # what is none of the others comes last
        merged[OTHER] = merged.pop(OTHER)
    return merged


def _joined(old: Subject, new: Subject) -> Subject:
    return Subject(
        about=new.about or old.about,
        category=new.category or old.category,
        subjects=_merged(old.subjects, new.subjects),
    )
