"""Files to queries: the presets by name, and the one function that reads a file through one of them."""

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kat_data.domain.bad_line import BadLine
from kat_data.domain.category import Category
from kat_data.domain.query import Query
from kat_data.errors import ConfigError, InputError
from kat_data.hashing import content_hash
from kat_data.sources.choice_preset import mcq
from kat_data.sources.code_presets import humaneval, mbpp
from kat_data.sources.fields import Answers, Fields
from kat_data.sources.general_presets import plain, self_instruct, sharegpt
from kat_data.sources.math_presets import gsm8k, math
from kat_data.sources.read import read_rows
from kat_data.sources.row_error import RowError
from kat_data.sources.tool_preset import bfcl, tau_bench

Tools = tuple[dict[str, Any], ...]
Preset = Callable[[Fields, Answers | None], Query]
PRESETS: Mapping[str, Preset] = {
    "gsm8k": gsm8k,
    "math": math,
    "mcq": mcq,
    "mbpp": mbpp,
    "humaneval": humaneval,
    "sharegpt": sharegpt,
    "bfcl": bfcl,
    "tau_bench": tau_bench,
    "self_instruct": self_instruct,
    "plain": plain,
}


def read_queries(
    path: Path,
    *,
    preset: str,
    source: str,
    licence: str,
    mapping: Mapping[str, str] | None = None,
    answers: Answers | None = None,
    tools: Tools = (),
) -> Iterator[tuple[int, Query] | BadLine]:
    """Yield (number, query) for each row of the file, and a `BadLine` for each that does not fit the preset.

    `mapping` is field to path (`fields.parse_mapping`), `answers` id to answer (`tool_preset.read_answers`),
    `tools` (`tool_preset.read_tools`) are for queries that bring none of their own.
    Raises `ConfigError` for an unknown preset, `InputError` where the file cannot be read.
    """
    read = find_preset(preset)
    if answers is not None and preset != "bfcl":
        raise ConfigError("An answers file goes with the preset bfcl only.")
    found = _queries(read_rows(path), read, mapping or {}, answers, source, licence)
    return map(partial(_equipped, tools), found) if tools else found


def find_preset(name: str) -> Preset:
    """Return the preset of that name; raises `ConfigError` that names the nearest one."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        raise ConfigError(f"There is no preset {name}: {f'did you mean {near[0]}?' if near else ', '.join(PRESETS)}")
    return PRESETS[name]


def fingerprint(
    path: Path,
    *,
    preset: str,
    source: str,
    mapping: Mapping[str, str] | None = None,
    answers: Answers | None = None,
    tools: Tools = (),
) -> bytes:
    """Return 32 bytes that are the same for the same file content, preset, options and source."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    options = {"map": dict(mapping or {}), "answers": answers} | ({"tools": tools} if tools else {})
    return content_hash({"file": digest, "preset": preset, "source": source, "options": options})


def _equipped(tools: Tools, item: tuple[int, Query] | BadLine) -> tuple[int, Query] | BadLine:
    """A query that can call tools is one of tool use, whatever it was before."""
    if isinstance(item, BadLine) or item[1].tools:
        return item
    number, query = item
    talk = query.category in (Category.GENERAL, Category.MULTI_TURN)
    return number, replace(query, tools=tools, category=Category.TOOL_USE if talk else query.category)


def _queries(
    rows: Iterator[tuple[int, dict[str, Any]] | BadLine],
    read: Preset,
    mapping: Mapping[str, str],
    answers: Answers | None,
    source: str,
    licence: str,
) -> Iterator[tuple[int, Query] | BadLine]:
    for item in rows:
        if isinstance(item, BadLine):
            yield item
            continue
        number, row = item
        try:
            query = read(Fields(row, mapping, source, licence), answers)
        except RowError as unfit:
            yield BadLine(number=number, reason=str(unfit), code=unfit.code)
        else:
            yield number, query
