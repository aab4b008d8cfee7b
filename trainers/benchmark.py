"""Benchmarks of evaluations: rows of stage-3 snapshots, asked as they are, with a forced mode, or with a directive."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from kat_data.domain.mode import Mode
from kat_data.domain.query import Query
from kat_data.domain.template import add_trigger, last_user, parse_completion
from kat_data.errors import ConfigError, TemplateError
from trainers.data import open_stage
from trainers.generation import Prompt
from trainers.replies import Reply, read
from trainers.rewards import query_of, unusable

Asking = Literal["auto", "think_on", "think_off", "directed_on", "directed_off"]
DIRECTIVES: Final[Mapping[str, str]] = {
    "directed_on": "Think carefully, step by step, before you answer.",
    "directed_off": "DO NOT THINK. Answer at once.",
}
"""What a user says who wants a mode (§6.4); the model may obey or not, which is what is measured."""
WANTED: Final[Mapping[str, Mode]] = {
    "think_on": Mode.ON,
    "think_off": Mode.OFF,
    "directed_on": Mode.ON,
    "directed_off": Mode.OFF,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Rows of one split of a stage-3 snapshot, at most `limit`, the first in the snapshot's order.

    `by` names a column by whose values the rows are told apart as benchmarks of their own, `source` for instance.
    """

    snapshot: Path
    name: str = ""
    split: str = "test"
    limit: int | None = None
    by: Literal["source", "category", "domain"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One row to answer: `id` is the row's, `turns` counts what the user says in it."""

    benchmark: str
    id: str
    row: Mapping[str, Any]
    query: Query

    @property
    def turns(self) -> int:
        return sum(message["role"] == "user" for message in self.row["prompt"])

    def prompt(self, asking: Asking) -> Prompt:
        """Return what the policy is asked; a forced mode is the trigger of stage 1 behind the user's last words."""
        messages = [dict(message) for message in self.row["prompt"]]
        last = messages[last_user(messages)]
        if asking in DIRECTIVES:
            last["content"] = f"{last['content']}\n{DIRECTIVES[asking]}"
        elif asking != "auto":
            last["content"] = add_trigger(last["content"], Mode(asking))
        return Prompt(messages=messages, tools=orjson.loads(self.row["tools"]))


def items_of(benchmark: Benchmark) -> list[Item]:
    """Return the items that have a verifier; raises `ConfigError` where there is none."""
    snapshot = open_stage(benchmark.snapshot, "stage3")
    found: list[Item] = []
    for row in snapshot.rows(benchmark.split):
        if benchmark.limit is not None and len(found) == benchmark.limit:
            break
        if unusable(row) is None:
            name = str(row[benchmark.by]) if benchmark.by else benchmark.name or snapshot.manifest.hashed.name
            query = query_of({**row, "messages": row["prompt"]})
            found.append(Item(benchmark=name, id=row["id"], row=row, query=query))
    if not found:
        there = ", ".join(snapshot.manifest.splits)
        raise ConfigError(f"{benchmark.snapshot} has no row with a verifier in the split {benchmark.split} of {there}")
    return found


def read_reply(text: str, asking: Asking) -> Reply | None:
    """Return what a reply says, none where it is not written as it must be: without a judge where a mode was forced."""
    if asking in DIRECTIVES or asking == "auto":
        return read(text)
    try:
        turn = parse_completion(text, Mode(asking))
    except TemplateError:
        return None
    return Reply(mode=turn.mode, thinking=turn.thinking, answer=turn.answer)
