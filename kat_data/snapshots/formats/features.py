"""The columns of exported files, told to whoever reads them: JSON Lines and Parquet cannot say it well enough.

A reader of JSON Lines guesses types from the first rows, and merges the fields of all objects into one; with the
features in a card beside the file, or in the Parquet schema, `datasets` gives every object back as it was.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
import yaml

if TYPE_CHECKING:
    import pyarrow as pa


class Kind(StrEnum):
    """What a column holds: text, a number, any JSON value, or a list of such."""

    TEXT = "text"
    NUMBER = "number"
    VALUE = "value"
    VALUES = "values"


Columns = Mapping[str, Kind]

_FEATURES: Mapping[Kind, Any] = {
    Kind.TEXT: {"dtype": "string", "_type": "Value"},
    Kind.NUMBER: {"dtype": "float64", "_type": "Value"},
    Kind.VALUE: {"_type": "Json"},
    Kind.VALUES: {"feature": {"_type": "Json"}, "_type": "List"},
}
_DTYPES: Mapping[Kind, Mapping[str, str]] = {
    Kind.TEXT: {"dtype": "string"},
    Kind.NUMBER: {"dtype": "float64"},
    Kind.VALUE: {"dtype": "json"},
    Kind.VALUES: {"list": "json"},
}


def columns_of(schema: "pa.Schema") -> dict[str, Kind]:
    """Return the columns of a shard as `jsonl` writes them: what is nested, and the tools, as JSON values."""
    import pyarrow as pa

    def kind(field: "pa.Field") -> Kind:
        if field.name == "tools" or pa.types.is_list(field.type):
            return Kind.VALUES
        if pa.types.is_struct(field.type):
            return Kind.VALUE
        return Kind.NUMBER if pa.types.is_floating(field.type) else Kind.TEXT

    return {field.name: kind(field) for field in schema}


def arrow_schema(columns: Columns) -> "pa.Schema":
    """Return the Parquet schema, where JSON values are text, with the features that `datasets` reads."""
    import pyarrow as pa

    types = {
        Kind.TEXT: pa.string(),
        Kind.NUMBER: pa.float64(),
        Kind.VALUE: pa.string(),
        Kind.VALUES: pa.list_(pa.string()),
    }
    features = {"info": {"features": {name: _FEATURES[kind] for name, kind in columns.items()}}}
    metadata = {"huggingface": orjson.dumps(features).decode()}
    return pa.schema([(name, types[kind]) for name, kind in columns.items()], metadata=metadata)


def as_text(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Return the row as `arrow_schema` holds it."""
    return {name: _text(row.get(name), kind) for name, kind in columns.items()}


def card(columns: Columns, files: Mapping[str, str], title: str) -> str:
    """Return a card that lets `datasets` load the folder; `files` are their names by split."""
    matter = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": name} for split, name in files.items()],
            }
        ],
        "dataset_info": {"features": [{"name": name, **_DTYPES[kind]} for name, kind in columns.items()]},
    }
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---\n\n# {title}\n"


def _text(value: Any, kind: Kind) -> Any:
    if kind is Kind.VALUE:
        return None if value is None else orjson.dumps(value).decode()
    return [orjson.dumps(part).decode() for part in value] if kind is Kind.VALUES else value
