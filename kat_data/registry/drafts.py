"""Drafts, made again of the rows that `facts` made of what stages added."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.rows import dict_row

from kat_data.domain.candidate import Candidate
from kat_data.domain.codec import from_python
from kat_data.domain.draft import Draft, Further
from kat_data.domain.intent import Intent
from kat_data.domain.measurement import ModeMeasurement, Trials
from kat_data.domain.mode import ModeChoice, Vote
from kat_data.domain.pass_rate import PassRate, Rollout
from kat_data.domain.query import Query
from kat_data.domain.score import Score
from kat_data.domain.soft_label import LabelAnswer, SoftLabel
from kat_data.domain.tag import Tag, TagSummary
from kat_data.domain.verdict import Verdict
from kat_data.registry.facts import Row

FACT_TABLES = (
    "tags",
    "tag_summaries",
    "soft_labels",
    "soft_label_answers",
    "pass_rates",
    "rollouts",
    "intents",
    "turns",
    "votes",
    "mode_measurements",
    "candidates",
    "verdicts",
    "scores",
    "further",
)

LOAD_QUERIES = """
    SELECT queries.id, queries.hash, messages, tools, reference, verifier, category, sources.name AS source,
        sources.licence
    FROM queries JOIN sources ON sources.id = queries.source_id
    WHERE queries.id = ANY(%(ids)s)
"""


async def load_drafts(
    connection: psycopg.AsyncConnection[Any], run: int, fresh: Iterable[int], begun: Mapping[int, int]
) -> dict[int, Draft]:
    """Return drafts by query id: blank ones for the `fresh`, stored ones for the `begun`, each at its given turn."""
    fresh, ids = list(fresh), list(begun)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LOAD_QUERIES, {"ids": fresh + ids})
        queries = {row["id"]: _query(row) async for row in cursor}
        facts: dict[str, dict[int, list[Row]]] = {}
        for table in FACT_TABLES if begun else ():
            await cursor.execute(
                f"SELECT * FROM {table} WHERE run_id = %(run)s AND query_id = ANY(%(ids)s)", {"run": run, "ids": ids}
            )
            facts[table] = _by_query([row async for row in cursor])
    drafts = {query_id: Draft(query=queries[query_id]) for query_id in fresh}
    for query_id, turn in begun.items():
        mine = {table: rows.get(query_id, []) for table, rows in facts.items()}
        drafts[query_id] = _draft(queries[query_id], turn, mine)
    return drafts


def _query(row: Row) -> Query:
    fields = ("messages", "tools", "reference", "verifier", "category", "source", "licence")
    return from_python(Query, {name: row[name] for name in fields})


def _by_query(rows: Sequence[Row]) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["query_id"]].append(row)
    return groups


def _draft(query: Query, turn: int, facts: Mapping[str, list[Row]]) -> Draft:
    summary, intents = facts["tag_summaries"], facts["intents"]
    draft = Draft(
        query=query,
        tags=tuple(from_python(Tag, _fields(Tag, row, call=row["call"].hex())) for row in _in_order(facts["tags"])),
        summary=from_python(TagSummary, _fields(TagSummary, summary[0])) if summary else None,
        pass_rate=_pass_rate(facts),
        intent=_intent(intents[0]) if intents else None,
    )
    if label := _soft_label(facts):
        draft = draft.labelled(label)
    for finished in range(turn):
        draft = _with_turn(draft, finished, facts).finish_turn()
    return _with_turn(draft, turn, facts)


def _soft_label(facts: Mapping[str, list[Row]]) -> SoftLabel | None:
    if not (rows := facts["soft_labels"]):
        return None
    answers = [_fields(LabelAnswer, row, call=row["call"].hex()) for row in _in_order(facts["soft_label_answers"])]
    return from_python(SoftLabel, _fields(SoftLabel, rows[0], answers=answers))


def _pass_rate(facts: Mapping[str, list[Row]]) -> PassRate | None:
    if not (rows := facts["pass_rates"]):
        return None
    rollouts = [_fields(Rollout, row, call=row["call"].hex()) for row in _in_order(facts["rollouts"])]
    return from_python(PassRate, _fields(PassRate, rows[0], rollouts=rollouts))


def _with_turn(draft: Draft, turn: int, facts: Mapping[str, list[Row]]) -> Draft:
    states, votes, measurements, candidates, verdicts, scores, further = (
        [row for row in facts[table] if row["turn"] == turn]
        for table in ("turns", "votes", "mode_measurements", "candidates", "verdicts", "scores", "further")
    )
    state = states[0] if states else dict.fromkeys(("mode", "accepted", "judge_analysis", "results"))
    return replace(
        draft,
        votes=tuple(from_python(Vote, _fields(Vote, row, call=row["call"].hex())) for row in _in_order(votes)),
        choice=from_python(ModeChoice, _fields(ModeChoice, state)) if state["mode"] else None,
        measurement=_measurement(measurements[0]) if measurements else None,
        candidates=tuple(_candidate(row, verdicts) for row in _in_order(candidates)),
        accepted=state["accepted"],
        scores=tuple(from_python(Score, _fields(Score, row, call=row["call"].hex())) for row in _in_order(scores)),
        judge_analysis=state["judge_analysis"],
        further=tuple(from_python(Further, _fields(Further, row)) for row in _in_order(further) if row["kept"]),
        results=None if state["results"] is None else tuple(state["results"]),
    )


def _intent(row: Row) -> Intent:
    return from_python(Intent, _fields(Intent, row, call=row["call"].hex() if row["call"] else None))


def _measurement(row: Row) -> ModeMeasurement:
    trials = {mode: {name: row[f"{mode}_{name}"] for name in Trials.__dataclass_fields__} for mode in ("off", "on")}
    return from_python(ModeMeasurement, _fields(ModeMeasurement, row, **trials))


def _in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["position"])


def _candidate(row: Row, verdicts: Sequence[Row]) -> Candidate:
    mine = sorted((v for v in verdicts if v["position"] == row["position"]), key=lambda v: v["number"])
    return from_python(
        Candidate,
        _fields(
            Candidate,
            row,
            calls=[call.hex() for call in row["calls"]],
            verdicts=[_fields(Verdict, verdict) for verdict in mine],
        ),
    )


def _fields(kind: Any, row: Row, **changed: Any) -> Row:
    return {name: row[name] for name in kind.__dataclass_fields__ if name in row} | changed
