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
from kat_data.domain.verdict import Verdict
from kat_data.errors import TemplateError
from kat_data.hashing import canonical_json, content_hash, draw

SCHEMA_VERSION = 3
"""2 added results of tools: `tool_call_id` and `name` of messages, `results` of turns; 3 added the label `verdict`.

Older ones are still read.
"""

OPTIONAL_FIELDS = ("tool_calls", "tool_call_id", "name")
"""Fields of messages that not every message has."""

_MESSAGES = ("prompt", "completion", "messages")
"""Columns of messages."""

Record = dict[str, Any]


class TrainingStage(StrEnum):
    """The stage of training that a snapshot feeds; decides its columns (architecture §8)."""

    STAGE1 = "stage1"
    STAGE2 = "stage2"
    STAGE3 = "stage3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """How answers to a query are rewarded, which stage 3 alone stores.

    It has the reference's origin, as a soft reference is what models agreed on and nobody's knowledge.
    """

    verifier: VerifierSpec | None = None
    reference: str | None = None
    reference_origin: ReferenceOrigin = ReferenceOrigin.SOURCE
    pass_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An accepted sample on its way into a snapshot, with what is known of its query.

    `query` and `lineage` are content hashes, hex; `verdict` is what the verifier says of the answer, of several turns
    the weakest, and none where nobody judged; the rest is a `Grading`. A pair has a place in stage 3 alone, and no
    mode.
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
    verdict: Verdict | None = None

    @property
    def grading(self) -> Grading:
        """How answers to its query are rewarded."""
        return Grading(
            verifier=self.verifier,
            reference=self.reference,
            reference_origin=self.reference_origin,
            pass_rate=self.pass_rate,
        )

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
    content = _content(row.sample, stage, row.grading)
    messages = {name: _complete(content[name]) for name in _MESSAGES if name in content}
    return labels_of_row(row) | content | messages


def labels_of_row(row: Row) -> Record:
    """Return the columns that say what the row is, in their order."""
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
        "verdict": _verdict(row.verdict),
    }


def render(sample: Sample | Pair, stage: TrainingStage, grading: Grading) -> str:
    """Return the columns of a row that are no labels as one line of JSON; raises `TemplateError`.

    That is what a registry stores of a sample once it is accepted. What a message does not have is left out.
    """
    return canonical_json(_content(sample, stage, grading)).decode()


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


def _content(sample: Sample | Pair, stage: TrainingStage, grading: Grading) -> Record:
    tools = {"tools": canonical_json(sample.tools).decode()}
    if stage is TrainingStage.STAGE3:
        prompt = pair_prompt(sample) if isinstance(sample, Pair) else render_prompt(sample)
        return {"prompt": prompt, "verifier": _verifier(grading), "pass_rate": grading.pass_rate, **tools}
    if isinstance(sample, Pair):
        raise TemplateError(f"a query–verifier pair has no answer, and cannot stand in a snapshot of {stage}")
    if stage is TrainingStage.STAGE2:
        turns = [_structured(turn) for turn in sample.turns]
        return {"messages": render_messages(sample), "turns": turns, **tools}
    prompt, completion = render_prompt_completion(sample)
    return {"prompt": prompt, "completion": completion, **tools}


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


def _verdict(verdict: Verdict | None) -> Record | None:
    if verdict is None:
        return None
    return {"verifier": verdict.verifier, "outcome": verdict.outcome.value, "status": verdict.status.value}


def _verifier(grading: Grading) -> Record | None:
    if grading.verifier is None:
        return None
    return {
        "kind": grading.verifier.kind.value,
        "reference": grading.reference,
        "reference_origin": grading.reference_origin.value,
        "options": canonical_json(grading.verifier.options).decode(),
    }
