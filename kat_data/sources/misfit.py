"""One line for a file of which no row fits: what it holds, and what its preset reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kat_data.domain.bad_line import BadLine
from kat_data.sources.read import read_rows

WANTED: Mapping[str, str] = {
    "gsm8k": "question, answer",
    "math": "problem, question or input; solution, answer or target",
    "mcq": "question; choices or options; answer or correct",
    "mbpp": "text or prompt; test_list",
    "humaneval": "prompt, test, entry_point",
    "sharegpt": "conversations or messages",
    "bfcl": "question, function",
    "tau_bench": "traj or messages_display",
    "self_instruct": "instruction",
    "plain": "one of messages, problem, question, prompt, query, text and instruction",
}
_COLUMNS = 12
_NAME_CHARS = 40
_SEARCHED = 100


def misfit(path: Path, preset: str, first: BadLine) -> str:
    """Say why no row of `path` fits the preset; `first` is the first bad line."""
    line = f"line {first.number}: {first.reason}"
    columns = _columns(path)
    if not columns:
        return f"no row of {path} can be read; {line}"
    shown = [" ".join(name.split())[:_NAME_CHARS] for name in columns[:_COLUMNS]]
    more = ["…"] if len(columns) > len(shown) else []
    return (
        f"no row of {path} fits preset {preset}: it has the columns {', '.join(shown + more)}; "
        f"it wants {WANTED[preset]}, or --map ({line})"
    )


def _columns(path: Path) -> list[str]:
    """Return the names in the first row that can be read among the first hundred; those in an object as paths."""
    for item, _ in zip(read_rows(path), range(_SEARCHED), strict=False):
        if not isinstance(item, BadLine):
            return [column for name, value in item[1].items() for column in _paths(name, value)]
    return []


def _paths(name: str, value: Any) -> list[str]:
    return [f"{name}.{inner}" for inner in value] if isinstance(value, dict) and value else [name]
