"""Snapshot rows: what a caller gives for each accepted sample, and the record of plain values that is stored of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.pair import Pair
from kat_data.domain.query import ReferenceOrigin, VerifierSpec
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.template import pair_prompt, render_messages, render_prompt, render_prompt_completion
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import TemplateError
from kat_data.hashing import canonical_json, content_hash, draw

SCHEMA_VERSION = 2
"""2 added results of tools: `tool_call_id` and `name` of messages, `results` of turns. Older ones are still read."""

OPTIONAL_FIELDS = ("tool_calls", "tool_call_id", "name")
"""Fields of messages that not every message has."""

Record = dict[str, Any]


class TrainingStage(StrEnum):
    """The stage of training that a snapshot feeds; decides its columns (architecture §8)."""

    STAGE1 = "stage1"
    STAGE2 = "stage2"
    STAGE3 = "stage3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An accepted sample on its way into a snapshot, with what is known of its query.

    `query` and `lineage` are content hashes, hex; `reference`, `verifier` and `pass_rate` are stored in stage 3 alone,
    with `reference_origin`, as a soft reference is what models agreed on and nobody's knowledge. A pair has a place in
    stage 3 alone, and no mode.
    """

    sample: Sample | Pair
    query: str
    lineage: str
    category: Category
    source: str
    licence: str
    domain: str = ""
    difficulty: float | None = None
    reference: str | None = None
    reference_origin: ReferenceOrigin = ReferenceOrigin.SOURCE
    verifier: VerifierSpec | None = None
    pass_rate: float | None = None

    @property
    def id(self) -> str:
        """The sample's content hash, hex: the row's identity in every snapshot."""
        return content_hash(self.sample).hex()

    @property
    def mode(self) -> str:
        """The sample's mode; empty where nobody has answered."""
        return self.sample.mode.value if isinstance(self.sample, Sample) else ""


def to_record(row: Row, stage: TrainingStage) -> Record:
    """Return the row's record: JSON values alone, every column of the stage present; raises `TemplateError`."""
    return {
        "id": row.id,
        "query": row.query,
        "category": row.category.value,
        "domain": row.domain,
        "difficulty": None if row.difficulty is None else float(row.difficulty),
        "mode": row.mode,
        "source": row.source,
        "licence": row.licence,
        "lineage": row.lineage,
        **_content(row, stage),
        "tools": canonical_json(row.sample.tools).decode(),
    }


def to_sample(record: Record) -> Sample:
    """Read the sample of a stage-2 record back; raises `KeyError`, `TypeError` or `ValueError` on any other."""
    messages = record["messages"]
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    return Sample(
        system=system,
        tools=tuple(orjson.loads(record["tools"])),
        turns=tuple(_from_structured(turn) for turn in record["turns"]),
    )


def order_key(seed: int, record: Record) -> tuple[int, str]:
    """Return where a record stands in its split: by a seeded hash of its id, whatever order it came in."""
    return draw(seed, record["id"]), record["id"]


def _content(row: Row, stage: TrainingStage) -> Record:
    sample = row.sample
    if stage is TrainingStage.STAGE3:
        prompt = pair_prompt(sample) if isinstance(sample, Pair) else render_prompt(sample)
        return {"prompt": _complete(prompt), "verifier": _verifier(row), "pass_rate": row.pass_rate}
    if isinstance(sample, Pair):
        raise TemplateError(f"a query–verifier pair has no answer, and cannot stand in a snapshot of {stage}")
    if stage is TrainingStage.STAGE2:
        turns = [_structured(turn) for turn in sample.turns]
        return {"messages": _complete(render_messages(sample)), "turns": turns}
    prompt, completion = render_prompt_completion(sample)
    return {"prompt": _complete(prompt), "completion": _complete(completion)}


def _complete(messages: Sequence[Record]) -> list[Record]:
    """Messages as Parquet gives them back: each has every field, none where it has no such thing."""
    return [{**dict.fromkeys(OPTIONAL_FIELDS), **message} for message in messages]


def _structured(turn: Turn) -> Record:
    return {
        "user": turn.user,
        "judge_analysis": turn.judge_analysis,
        "mode": turn.mode.value,
        "thinking": turn.thinking,
        "answer": turn.answer,
        "tool_calls": [
            {"name": call.name, "arguments": canonical_json(call.arguments).decode()} for call in turn.tool_calls
        ],
        "results": list(turn.results),
    }


def _from_structured(turn: Record) -> Turn:
    calls = tuple(ToolCall(name=c["name"], arguments=orjson.loads(c["arguments"])) for c in turn["tool_calls"])
    results = tuple(turn.get("results") or ())
    return Turn(**{**turn, "mode": Mode(turn["mode"]), "tool_calls": calls, "results": results})


def _verifier(row: Row) -> Record | None:
    if row.verifier is None:
        return None
    return {
        "kind": row.verifier.kind.value,
        "reference": row.reference,
        "reference_origin": row.reference_origin.value,
        "options": canonical_json(row.verifier.options).decode(),
    }
