"""Fields of a row under the names that presets know, by `--map` or by the names that data sets use."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from kat_data.errors import ConfigError

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
)


class UnfitRow(ValueError):
    """A row does not hold what its preset reads; the text says what is missing or wrong."""


class Fields:
    """One row, read through a mapping of field to path; a path `=text` stands for the text itself."""

    __slots__ = ("_mapping", "row")

    def __init__(self, row: Mapping[str, Any], mapping: Mapping[str, str]) -> None:
        self.row = row
        self._mapping = mapping

    def find(self, field: str, *names: str) -> Any:
        """Return the value of `field`: where the mapping says, else the first of `names` that holds one, else none."""
        if field in self._mapping:
            return _follow(self.row, self._mapping[field])
        for name in names:
            if (value := self.row.get(name)) is not None:
                return value
        return None

    def text(self, field: str, *names: str) -> str:
        """Return the text of `field`; raises `UnfitRow` where there is none."""
        text = self.optional_text(field, *names)
        if not text:
            raise UnfitRow(f"no {field}: looked for {self._mapping.get(field) or ', '.join(names)}")
        return text

    def optional_text(self, field: str, *names: str) -> str | None:
        """Return the text of `field`, or none."""
        value = self.find(field, *names)
        return None if value is None else as_text(value, field)

    def list(self, field: str, *names: str) -> "list[Any]":
        """Return the list of `field`, empty where there is none; raises `UnfitRow` where it is something else."""
        value = self.find(field, *names)
        if value is None:
            return []
        if not isinstance(value, list):
            raise UnfitRow(f"{field} is not a list")
        return value


def as_text(value: Any, field: str) -> str:
    """Return a scalar as text, whole numbers without a fraction (`145.0` is `145`)."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float) and value == value:
        return str(value)
    raise UnfitRow(f"{field} is not text but {type(value).__name__}")


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """Read `field=path` pairs; raises `ConfigError` where a field is unknown."""
    mapping = {}
    for pair in pairs:
        field, equals, path = pair.partition("=")
        if not equals or not path:
            raise ConfigError(f"--map {pair}: write field=path, such as prompt=data.question or category==math.")
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1)
            raise ConfigError(
                f"--map {pair}: there is no field {field}; {f'{near[0]}?' if near else ', '.join(FIELDS)}"
            )
        mapping[field] = path
    return mapping


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
