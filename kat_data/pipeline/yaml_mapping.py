"""YAML mappings read strictly: a key that stands twice is a mistake, and every mistake is named with its line."""

from typing import Any

import yaml

from kat_data.errors import RecipeError


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key which stands twice in one mapping; PyYAML takes the last in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode) and (first := seen.setdefault((key.tag, key.value), key)) is not key:
                problem = f"key `{key.value}` stands twice, first in line {first.start_mark.line + 1}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return mapping


def read_mapping(text: str, origin: str, *, kind: str = "recipe") -> dict[str, Any]:
    """Return the one mapping that `text` holds; raises `RecipeError` with the line at which it is none.

    `kind` says what is being read, for the error's text.
    """
    try:
        plain = _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", error)).partition("\n")[0]
        raise RecipeError(f"{origin}{where}: not YAML: {problem}") from None
    if not isinstance(plain, dict):
        shown = "schema" if kind == "recipe" else kind
        raise RecipeError(f"{origin}: a {kind} is a mapping of keys; see `kat recipes {shown}`")
    return plain
