"""Taxonomy files that recipes name: read with the recipe, so that their content and not their path is the run's."""

from pathlib import Path
from typing import Any

from kat_data.errors import RecipeError
from kat_data.pipeline.yaml_mapping import read_mapping


def with_taxonomies(plain: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe's plain values with the file that a stage names under `taxonomy` replaced by its content.

    Paths are relative to `folder`, the recipe's own. Raises `RecipeError` where a file cannot be read.
    """
    stages = plain.get("stages")
    if not isinstance(stages, list):
        return plain
    return plain | {"stages": [_with_content(entry, folder) for entry in stages]}


def _with_content(entry: Any, folder: Path) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {name: _inlined(options, folder) for name, options in entry.items()}


def _inlined(options: Any, folder: Path) -> Any:
    if not isinstance(options, dict) or not isinstance(options.get("taxonomy"), str):
        return options
    path = folder / options["taxonomy"]
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise RecipeError(f"cannot read taxonomy {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: not UTF-8 text") from None
    return options | {"taxonomy": read_mapping(text, str(path), kind="taxonomy")}
