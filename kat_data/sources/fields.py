"""Fields of a row under the names that presets know, by `--map` or by the names that data sets use."""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from kat_data.domain.category import Category
from kat_data.domain.query import Message, Query, VerifierKind, VerifierSpec
from kat_data.errors import ConfigError
from kat_data.sources.answerable import require_answerable
from kat_data.sources.row_error import RowError
from kat_data.sources.verifiable import require_decidable

Answers = Mapping[str, Any]

FIELDS = (
    "messages",
    "prompt",
    "system",
    "reference",
    "answer",
    "choices",
    "tests",
    "setup",
    "entry",
    "tools",
    "verifier",
    "category",
    "document",
)


_WORDS: Mapping[str, tuple[str, ...]] = {"verifier": tuple(VerifierKind), "category": tuple(Category)}
"""Fields whose text is one of a few words."""


class Fields:
    """One row, read through a mapping of field to path; a path `=text` stands for the text itself."""

    __slots__ = ("_licence", "_mapping", "_source", "row")

    def __init__(self, row: Mapping[str, Any], mapping: Mapping[str, str], source: str, licence: str) -> None:
        self.row = row
        self._mapping = mapping
        self._source = source
        self._licence = licence

    def find(self, field: str, *names: str) -> Any:
        """Return the value of `field`: where the mapping says, else the first of `names` that holds one, else none."""
        if field in self._mapping:
            return _follow(self.row, self._mapping[field])
        for name in names:
            if (value := self.row.get(name)) is not None:
                return value
        return None

    def query(
        self,
        *,
        messages: tuple[Message, ...],
        category: Category,
        reference: str | None = None,
        verifier: VerifierSpec | None = None,
        tools: tuple[dict[str, Any], ...] = (),
    ) -> Query:
        """Return the query that a preset read from this row, with the file's source and licence.

        Raises `RowError` where no run can answer it: its verifier lacks what it compares answers with, a tool has no
        schema, a text is damaged or no query's length.
        """
        require_answerable(messages, tools, reference)
        if verifier is not None:
            require_decidable(verifier, reference)
        return Query(
            messages=messages,
            category=category,
            source=self._source,
            licence=self._licence,
            tools=tools,
            reference=reference,
            verifier=verifier,
            document=self._document(),
        )

    def _document(self) -> str | None:
        """Return the document that the row names; raises `RowError` where none is there that the mapping asks for."""
        document = self.optional_text("document")
        if "document" in self._mapping and not document:
            raise RowError(f"no document: looked for {self._mapping['document']}")
        return document

    def text(self, field: str, *names: str) -> str:
        """Return the text of `field`; raises `RowError` where there is none."""
        text = self.optional_text(field, *names)
        if not text or text.isspace():
            raise RowError(f"no {field}: looked for {self._mapping.get(field) or ', '.join(names)}")
        return text

    def optional_text(self, field: str, *names: str) -> str | None:
        """Return the text of `field`, or none."""
        value = self.find(field, *names)
        return None if value is None else as_text(value, field)

    def list(self, field: str, *names: str) -> "list[Any]":
        """Return the list of `field`, empty where there is none; raises `RowError` where it is something else."""
        value = self.find(field, *names)
        if value is None:
            return []
        if isinstance(value, str):
            value = decoded(value)
        if not isinstance(value, list):
            raise RowError(f"{field} is not a list")
        return value


def as_text(value: Any, field: str) -> str:
    """Return a scalar as text, whole numbers without a fraction (`145.0` is `145`)."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise RowError(f"{field} is not text but {type(value).__name__}")


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """Read `field=path` pairs; raises `ConfigError` for an unknown field, verifier or category."""
    mapping = {}
    for pair in pairs:
        field, equals, path = pair.partition("=")
        if not equals or not path:
            raise ConfigError(f"--map {pair}: write field=path, such as prompt=data.question or category==math.")
        if field not in FIELDS:
            raise ConfigError(f"--map {pair}: there is no field {field}; {_nearest(field, FIELDS)}")
        if field in _WORDS and path.startswith("=") and path[1:] not in _WORDS[field]:
            raise ConfigError(f"--map {pair}: there is no {field} {path[1:]}; {_nearest(path[1:], _WORDS[field])}")
        mapping[field] = path
    return mapping


def decoded(cell: str) -> Any:
    """Read the JSON that a CSV cell holds in place of a list; other text stays text."""
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"{near[0]}?" if near else ", ".join(known)


def _follow(value: Any, path: str) -> Any:
    if path.startswith("="):
        return path[1:]
    if isinstance(value, Mapping) and path in value:
        return value[path]
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.lstrip("-").isdecimal() and -len(value) <= int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
