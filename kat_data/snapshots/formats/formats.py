"""The formats of exports: which stages each serves, what its columns are, and what it makes of a record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson

from kat_data.errors import UserError
from kat_data.snapshots.formats import chats
from kat_data.snapshots.formats.features import Columns, Kind
from kat_data.snapshots.formats.loss import Fitted
from kat_data.snapshots.formats.reinforcement import LABELS, NUMBERS, VERIFIER, rl
from kat_data.snapshots.record import Record, TrainingStage

_TEXT, _NUMBER, _VALUES = Kind.TEXT, Kind.NUMBER, Kind.VALUES
_STAGE1, _STAGE2, _STAGE3 = TrainingStage


class ExportFormat(StrEnum):
    """What the exported files are; `jsonl` and `parquet` hold everything, of every stage."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    TRL = "trl"
    OPENAI = "openai"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    PREFERENCE = "preference"
    RL = "rl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format: its columns by the stages that it can hold, and what it makes of a record.

    `fit` is none where a record alone does not tell. Without `tables` there is no Parquet and no card: the files are
    for an upload, whose rules name what may stand in them.
    """

    columns: Mapping[TrainingStage, Columns]
    fit: Callable[[Record], Fitted] | None
    tables: bool = True


def whole(record: Record) -> Fitted:
    """The record with JSON columns as values and no empty fields in messages."""
    row = {**record, "tools": chats.tools_of(record)}
    for column in ("messages", "prompt", "completion"):
        if column in row:
            row[column] = [chats.plain(message) for message in row[column]]
    if verifier := row.get("verifier"):
        row["verifier"] = {**verifier, "options": orjson.loads(verifier["options"])}
    return Fitted(rows=(row,))


_SHAREGPT = {"id": _TEXT, "conversations": _VALUES, "tools": _TEXT}
_ALPACA = dict.fromkeys(("id", "instruction", "input", "output", "system"), _TEXT)
_PAIR = {"id": _TEXT, **dict.fromkeys(("prompt", "chosen", "rejected", "tools"), _VALUES)}
_PAIR |= dict.fromkeys(("rejected_mode", "rejected_model", "reason", "detail"), _TEXT)
_RL = {"prompt": _VALUES, **dict.fromkeys(LABELS, _TEXT), **dict.fromkeys(NUMBERS, _NUMBER), "verifier": _TEXT}
_RL |= {**dict.fromkeys(VERIFIER, _TEXT), "tools": _VALUES}

FORMATS: Mapping[ExportFormat, Format] = {
    ExportFormat.TRL: Format(
        columns={
            _STAGE1: {"id": _TEXT, "prompt": _VALUES, "completion": _VALUES, "tools": _VALUES},
            _STAGE2: {"id": _TEXT, "messages": _VALUES, "tools": _VALUES},
        },
        fit=chats.trl,
    ),
    ExportFormat.OPENAI: Format(columns={_STAGE1: {}, _STAGE2: {}}, fit=chats.openai, tables=False),
    ExportFormat.SHAREGPT: Format(columns={_STAGE1: _SHAREGPT, _STAGE2: _SHAREGPT}, fit=chats.sharegpt),
    ExportFormat.ALPACA: Format(columns={_STAGE1: _ALPACA, _STAGE2: _ALPACA}, fit=chats.alpaca),
    ExportFormat.PREFERENCE: Format(columns={_STAGE1: _PAIR, _STAGE2: _PAIR}, fit=None),
    ExportFormat.RL: Format(columns={_STAGE3: _RL}, fit=rl),
}
"""Every format that is not the snapshot's own rows."""


def check_format(form: ExportFormat, stage: TrainingStage, *, parquet: bool = False) -> None:
    """Raise `UserError`, which names the formats that can, where the format cannot hold rows of the stage."""
    able = [name for name in ExportFormat if name not in FORMATS or stage in FORMATS[name].columns]
    if form not in able:
        raise UserError(f"{form} cannot hold rows of {stage}: choose one of {', '.join(able)}")
    if parquet and form in FORMATS and not FORMATS[form].tables:
        raise UserError(f"{form} is JSON Lines alone: leave --parquet out")
