"""Structured replies: records out of what models write around and instead of plain JSON."""

import json
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Structure = TypeVar("Structure", bound=BaseModel)

_STARTS = 8
# Raw line breaks inside strings are what small models write most.
_DECODER = json.JSONDecoder(strict=False)


@lru_cache(1024)  # tool replies bring a schema for each set of tools
def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of `kind`; shared, not to be changed."""
    return kind.model_json_schema()


def read_structure(kind: type[Structure], text: str) -> Structure:
    """Read the first JSON object in `text` that fits `kind`, whatever stands around it.

    Raises `ValueError` that says in one line what is wrong with the outermost object, or that there is none.
    """
    text = text.replace("\\u0000", "")  # no database holds the character NUL
    problem = "there is no JSON object"
    start = text.find("{")
    for number in range(_STARTS):
        if start < 0:
            break
        try:
            value, _ = _DECODER.raw_decode(text, start)
            return kind.model_validate(value)
        except ValidationError as error:
            flaw = _flaw(error)
        except (RecursionError, ValueError) as error:
            flaw = f"the JSON cannot be read: {error}"
        problem = flaw if number == 0 else problem
        start = text.find("{", start + 1)
    raise ValueError(problem)


def _flaw(error: ValidationError) -> str:
    flaws = (f"{'.'.join(map(str, e['loc'])) or 'object'}: {e['msg']}" for e in error.errors()[:3])
    return "; ".join(flaws)
