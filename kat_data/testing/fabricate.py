"""Instances of a JSON Schema, drawn from a seed: what an obedient model with nothing to say would answer."""

from typing import Any

from kat_data.hashing import draw

_WORDS = ("plain", "short", "clear", "sound", "steady", "exact", "simple", "direct")
_DEEPEST = 8


def fabricate(schema: dict[str, Any], seed: int) -> Any:
    """Return a value that follows `schema`; equal schemas and seeds give equal values.

    Covers what pydantic writes: references, enums, constants, unions, objects, arrays, strings, numbers with bounds.
    Does not cover `pattern`, `format`, `not` and conditions.
    """
    return _Fabricator(schema.get("$defs", {}), seed).value(schema, "$")


class _Fabricator:
    def __init__(self, definitions: dict[str, Any], seed: int) -> None:
        self._definitions = definitions
        self._seed = seed

    def value(self, schema: dict[str, Any], path: str) -> Any:
        if "$ref" in schema:
            return self.value(self._definitions[schema["$ref"].rsplit("/", 1)[-1]], path)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._pick(schema["enum"], path)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self._option(options, path)
        if parts := schema.get("allOf"):
            return self.value(parts[0], path)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) else kind
        return getattr(self, f"_{kind}")(schema, path)

    def _option(self, options: list[dict[str, Any]], path: str) -> Any:
        null = {"type": "null"}
        # The deeper, the more willingly null: recursive schemas end there.
        if null in options and path.count(".") >= _DEEPEST:
            return None
        return self.value(self._pick([option for option in options if option != null] or [null], path), path)

    def _object(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        return {name: self.value(part, f"{path}.{name}") for name, part in schema.get("properties", {}).items()}

    def _array(self, schema: dict[str, Any], path: str) -> list[Any]:
        fewest = schema.get("minItems", 0 if path.count(".") >= _DEEPEST else 1)
        items = schema.get("prefixItems") or [schema.get("items", {"type": "string"})] * fewest
        return [self.value(item, f"{path}.{index}") for index, item in enumerate(items)]

    def _string(self, schema: dict[str, Any], path: str) -> str:
        name = path.rsplit(".", 1)[-1].replace("_", " ").strip("$") or "text"
        text = f"A {self._pick(_WORDS, path)} {name}."
        return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]

    def _integer(self, schema: dict[str, Any], path: str) -> int:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 10) - 1)
        return int(low) + self._draw(path) % (int(high) - int(low) + 1)

    def _number(self, schema: dict[str, Any], path: str) -> float:
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0.0))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 1.0))
        return float(low + (high - low) * (1 + self._draw(path) % 99) / 100)

    def _boolean(self, schema: dict[str, Any], path: str) -> bool:
        return self._draw(path) % 2 == 0

    def _null(self, schema: dict[str, Any], path: str) -> None:
        return None

    def _pick(self, options: Any, path: str) -> Any:
        return options[self._draw(path) % len(options)]

    def _draw(self, path: str) -> int:
        return draw(self._seed, path)
