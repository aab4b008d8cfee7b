"""What every row of a snapshot has to be: labels in range, text that the template holds, ids that are hashes."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode
from kat_data.domain.sample import Turn
from kat_data.domain.template import (
    RESERVED_TAGS,
    last_user,
    parse_completion,
    parse_messages,
    render_completion,
    render_messages,
    split_trigger,
)
from kat_data.domain.verdict import Outcome, Status
from kat_data.errors import KatError, TemplateError
from kat_data.hashing import content_hash
from kat_data.snapshots.record import SCHEMA_VERSION, Record, TrainingStage, to_sample

FIRST_WITH_VERDICTS: Final = 3
"""The schema version from which on rows with answers say what a verifier found of them."""
_HASH: Final = re.compile("[0-9a-f]{64}")
_CATEGORIES: Final = frozenset(category.value for category in Category)
_MODES: Final = frozenset(mode.value for mode in Mode)


def check_row(record: Record, stage: TrainingStage, schema_version: int = SCHEMA_VERSION) -> Iterator[str]:
    """Yield what is wrong with one record: labels out of range, text that the template refuses, a false id."""
    try:
        yield from _labels(record, stage)
        if schema_version >= FIRST_WITH_VERDICTS and stage is not TrainingStage.STAGE3:
            yield from _verdict(record["verdict"])
        orjson.loads(record["tools"])
        yield from _CHECKS[stage](record)
    except TemplateError as error:
        yield f"the template refuses it: {error}"
    except (KatError, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        yield f"its content is malformed: {error!r}"


def _labels(record: Record, stage: TrainingStage) -> Iterator[str]:
    for name in ("id", "query", "lineage"):
        if not _is_hash(record[name]):
            yield f"{name} is not a SHA-256 in hex"
    if record["category"] not in _CATEGORIES:
        yield f"the category {record['category']!r} is not one of the six"
    if record["mode"] not in _MODES and not (stage is TrainingStage.STAGE3 and record["mode"] == ""):
        yield f"the mode {record['mode']!r} is neither think_on nor think_off"
    if not _within(record["difficulty"], 1, 10):
        yield "the difficulty is not within 1..10"


def _verdict(verdict: Record | None) -> Iterator[str]:
    if verdict is None:
        yield "it has no verdict"
    elif verdict["outcome"] not in set(Outcome) or verdict["status"] not in set(Status):
        yield f"its verdict is {verdict['outcome']}, {verdict['status']}, which no verifier says"
    elif verdict["outcome"] == Outcome.INCORRECT:
        yield f"its verdict is incorrect, by {verdict['verifier']}"


def _stage1(record: Record) -> Iterator[str]:
    place = last_user(record["prompt"])
    _, mode = split_trigger(record["prompt"][place]["content"])
    (completion,) = record["completion"]
    parsed = parse_completion(completion["content"], mode)
    turn = Turn(user="", judge_analysis="", mode=mode, thinking=parsed.thinking, answer=parsed.answer)
    if render_completion(turn) != completion["content"]:
        yield "the completion does not render back to the same text"
    if mode != record["mode"]:
        yield "the trigger is not the row's mode"
    if any(_has_tag(message) for i, message in enumerate(record["prompt"]) if i != place):
        yield "another message of the prompt holds a tag of the template"


def _stage2(record: Record) -> Iterator[str]:
    sample = to_sample(record)
    if parse_messages(record["messages"], sample.tools) != sample:
        yield "the messages and the structured turns differ"
    elif not _same(record["messages"], render_messages(sample)):
        yield "the messages do not render back to the same"
    if content_hash(sample).hex() != record["id"]:
        yield "the id is not the hash of the content"
    if sample.mode != record["mode"]:
        yield "the last turn's mode is not the row's mode"


def _stage3(record: Record) -> Iterator[str]:
    if record["prompt"][-1]["role"] not in {"user", "tool"}:
        yield "the prompt does not end with a message of the user or a tool"
    if any(_has_tag(message) for message in record["prompt"]):
        yield "the prompt holds a tag of the template"
    if not _within(record["pass_rate"], 0, 1):
        yield "the pass rate is not within 0..1"
    if record["verifier"] is not None:
        orjson.loads(record["verifier"]["options"])


_CHECKS: Final = {TrainingStage.STAGE1: _stage1, TrainingStage.STAGE2: _stage2, TrainingStage.STAGE3: _stage3}


def _same(stored: Sequence[Record], rendered: Sequence[Record]) -> bool:
    """Whether messages are what was rendered, and what they hold beside is none."""
    return all({**dict.fromkeys(one), **other} == one for one, other in zip(stored, rendered, strict=True))


def _has_tag(message: Record) -> bool:
    return any(tag in message["content"] for tag in RESERVED_TAGS)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _within(value: float | None, low: float, high: float) -> bool:
    return value is None or low <= value <= high
