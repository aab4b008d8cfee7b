"""Configurations of trainers: YAML files that fill a frozen dataclass, every mistake named."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import yaml

from kat_data.domain.codec import from_python
from kat_data.errors import ConfigError

Config = TypeVar("Config")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model to load: a folder, or a name on the Hub with its revision; `dtype` is torch's name, or as stored."""

    path: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


def load(path: Path, kind: type[Config], overrides: Sequence[str] = ()) -> Config:
    """Read a configuration of `kind`, with `key.inner=value` overrides; raises `ConfigError` with one line.

    Paths in the file are meant from the working directory, as in the shell.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of keys")
    for override in overrides:
        _set(found, override)
    return check(found, kind, str(path))


def check(found: Mapping[str, Any], kind: type[Config], origin: str) -> Config:
    """Return `found` as a configuration of `kind`; raises `ConfigError` with one line for all that is wrong."""
    if unknown := list(_unknown(found, kind, "")):
        raise ConfigError(f"{origin}: {'; '.join(unknown)}")
    try:
        return from_python(kind, dict(found))
    except ValueError as error:
        raise ConfigError(f"{origin}: {'; '.join(_problems(error))}") from None


def _set(found: dict[str, Any], override: str) -> None:
    place, equals, value = override.partition("=")
    if not equals or not place:
        raise ConfigError(f"--set {override}: write it as key=value, or outer.inner=value")
    *outer, last = place.split(".")
    for name in outer:
        found = found.setdefault(name, {})
        if not isinstance(found, dict):
            raise ConfigError(f"--set {override}: {name} is no mapping")
    found[last] = yaml.safe_load(value)


def _unknown(found: Mapping[str, Any], kind: Any, outer: str) -> Iterator[str]:
    """Yield a line for each key that the dataclass has not, with the nearest name that it has."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    for key, value in found.items():
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            yield f"unknown key `{outer}{key}`" + (f": did you mean `{near[0]}`?" if near else "")
        elif isinstance(value, Mapping) and (inner := _dataclass(hints[key])):
            yield from _unknown(value, inner, f"{outer}{key}.")


def _dataclass(hint: Any) -> Any:
    return next((one for one in (hint, *get_args(hint)) if isinstance(one, type) and is_dataclass(one)), None)


def _problems(error: Any) -> Iterator[str]:
    """Yield a line for each of pydantic's complaints, or the error's own text."""
    if not hasattr(error, "errors"):
        yield str(error)
        return
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        yield f"{place}: {problem['msg'][0].lower()}{problem['msg'][1:]}" if place else problem["msg"]
