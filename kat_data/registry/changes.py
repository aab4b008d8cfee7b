"""Why rows of snapshots differ, as the registry knows it: named SQL over the differing rows alone, in batches.

Hashes go to the server as one string of bytes a batch, 32 bytes each, and are cut there: `asked` is that batch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from kat_data.domain.change import ChangeReason
from kat_data.domain.decision import Act
from kat_data.domain.drop import DropReason
from kat_data.registry.standing import decision_then, withdrawals_then

BATCH: Final = 20_000
HASH_BYTES: Final = 32

KEPT_BACK: Final = "kept_back"
"""The run brought the sample, and its snapshot does not hold it."""
OTHER_SAMPLE: Final = "other_sample"
"""The run brought another sample of the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which run brought a snapshot's rows, and when it was built by the registry's clock."""

    run: int
    built_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found of one row of a batch, by its place there: a reason's code, or one of this module's own."""

    place: int
    code: str
    drop: str | None


def origin(connection: Connection, content_hash: str) -> Origin | None:
    """Return where a snapshot's rows come from, of several runs that brought the same the first; none if unknown."""
    row = connection.execute(text(_ORIGIN), {"hash": bytes.fromhex(content_hash)}).first()
    return Origin(run=row.run_id, built_at=row.created_at) if row else None


_ORIGIN = """
    SELECT samples.run_id, snapshots.created_at FROM snapshots
    JOIN LATERAL (SELECT min(sample_id) AS id FROM snapshot_rows WHERE snapshot_id = snapshots.id) AS first ON true
    JOIN samples ON samples.id = first.id
    WHERE snapshots.hash = :hash
"""


def why_absent(
    connection: Connection, queries: bytes, samples: bytes, *, holder: Origin | None, other: Origin
) -> Iterator[Found]:
    """Yield why the snapshot of `other` lacks these rows, which stand in the snapshot of `holder`."""
    values = {"run": other.run, "holder": holder.run if holder else None, "built": other.built_at}
    yield from _found(connection, _ABSENT, {"queries": queries, "samples": samples, **values})


def why_replaced(
    connection: Connection, queries: bytes, samples: bytes, successors: bytes, *, before: Origin, after: Origin
) -> Iterator[Found]:
    """Yield why samples of `before` gave way to other samples of the same queries, their `successors`."""
    values = {"holder": before.run, "run": after.run, "built": after.built_at}
    hashes = {"queries": queries, "samples": samples, "successors": successors}
    yield from _found(connection, _REPLACED, {**hashes, **values})


def _found(connection: Connection, sql: str, values: Mapping[str, Any]) -> Iterator[Found]:
    count = len(values["queries"]) // HASH_BYTES
    for row in connection.execute(text(sql), {**values, "count": count}):
        yield Found(place=row.place, code=row.code, drop=row.drop)


def _cut(name: str) -> str:
    return f"substring((:{name})::bytea FROM place * {HASH_BYTES} + 1 FOR {HASH_BYTES})"


# By the index, whatever the planner guesses: else each batch would read all that the registry holds.
_QUERY = """
    LEFT JOIN LATERAL (
        SELECT id, source_id, imported_at FROM queries WHERE queries.hash = asked.query_hash OFFSET 0
    ) AS query ON true
"""

_WITHDRAWN = f"EXISTS ({withdrawals_then('query.id')})"
_REVIEWED = f"(SELECT act <> '{Act.ACCEPT}' FROM ({decision_then('asked.sample_hash')}) AS decision)"

# Not by the calls: one that is made again under its key may bring another answer.
SAME_ANSWER: Final = """
    theirs.answer = mine.answer AND theirs.thinking = mine.thinking AND theirs.tool_calls::text = mine.tool_calls::text
"""
"""The condition that two candidates, `mine` and `theirs`, say the same."""

_JUDGED_OTHERWISE = f"""
    EXISTS (
        SELECT FROM turns JOIN candidates AS mine USING (run_id, query_id, turn)
        JOIN candidates AS theirs ON theirs.run_id = :run AND theirs.query_id = mine.query_id
            AND theirs.turn = mine.turn AND {SAME_ANSWER}
        JOIN verdicts AS said ON said.run_id = :holder AND said.query_id = mine.query_id AND said.turn = mine.turn
            AND said.position = mine.position
        JOIN verdicts AS says ON says.run_id = :run AND says.query_id = mine.query_id AND says.turn = mine.turn
            AND says.position = theirs.position AND says.number = said.number
        WHERE turns.run_id = :holder AND turns.query_id = query.id
          AND said.outcome <> says.outcome
          AND (mine.position = turns.accepted OR EXISTS (
              SELECT FROM further WHERE further.run_id = :holder AND further.query_id = query.id
                AND further.turn = mine.turn AND further.position = mine.position AND kept))
    )
"""

_ABSENT = f"""
    WITH asked AS MATERIALIZED (
        SELECT place, {_cut("queries")} AS query_hash, {_cut("samples")} AS sample_hash
        FROM generate_series(0, (:count)::int - 1) AS place
    )
    SELECT place, CASE
        WHEN query.id IS NULL THEN '{ChangeReason.UNKNOWN}'
        WHEN {_WITHDRAWN} THEN '{ChangeReason.WITHDRAWN}'
        WHEN {_REVIEWED} THEN '{ChangeReason.REVIEW}'
        WHEN item.state IS NULL AND query.imported_at > :built THEN '{ChangeReason.NEW_QUERY}'
        WHEN item.state IS NULL AND sources.name = ANY (
            SELECT line ->> 'source' FROM runs, json_array_elements(left_out) AS lines(line)
            WHERE runs.id = :run AND line ->> 'reason' = '{DropReason.LICENCE_NOT_ALLOWED}'
        ) THEN '{ChangeReason.LICENCE}'
        WHEN item.state IS NULL THEN '{ChangeReason.NOT_CHOSEN}'
        WHEN item.state = 'dropped' AND {_JUDGED_OTHERWISE} THEN '{ChangeReason.VERDICT}'
        WHEN item.state = 'dropped' THEN '{ChangeReason.DROPPED}'
        WHEN item.state <> 'accepted' OR sample.accepted_at > :built THEN '{ChangeReason.UNFINISHED}'
        WHEN sample.accepted_at IS NOT NULL THEN '{KEPT_BACK}'
        ELSE '{OTHER_SAMPLE}'
    END AS code, CASE WHEN item.state = 'dropped' THEN item.reason END AS drop
    FROM asked {_QUERY}
    LEFT JOIN sources ON sources.id = query.source_id
    LEFT JOIN work_items AS item ON item.run_id = :run AND item.query_id = query.id
    LEFT JOIN LATERAL (
        SELECT min(accepted_at) AS accepted_at FROM samples
        WHERE samples.run_id = :run AND samples.query_id = query.id AND samples.hash = asked.sample_hash
    ) AS sample ON true
"""

# Where every turn has the same answer, only what was said of it can be another.
_SAME_ANSWERS = f"""
    NOT EXISTS (
        SELECT FROM turns JOIN candidates AS mine ON mine.run_id = :holder AND mine.query_id = query.id
            AND mine.turn = turns.turn AND mine.position = turns.accepted
        WHERE turns.run_id = :holder AND turns.query_id = query.id AND NOT EXISTS (
            SELECT FROM turns AS later JOIN candidates AS theirs USING (run_id, query_id, turn)
            WHERE later.run_id = :run AND later.query_id = query.id AND later.turn = turns.turn
              AND theirs.position = later.accepted AND {SAME_ANSWER})
    )
"""

_REPLACED = f"""
    WITH asked AS MATERIALIZED (
        SELECT place, {_cut("queries")} AS query_hash, {_cut("samples")} AS sample_hash,
            {_cut("successors")} AS successor_hash
        FROM generate_series(0, (:count)::int - 1) AS place
    )
    SELECT place, CASE
        WHEN before.number IS NULL OR after.number IS NULL THEN '{ChangeReason.UNKNOWN}'
        WHEN {_REVIEWED} THEN '{ChangeReason.REVIEW}'
        WHEN {_JUDGED_OTHERWISE} THEN '{ChangeReason.VERDICT}'
        WHEN before.mode IS DISTINCT FROM after.mode THEN '{ChangeReason.MODE}'
        WHEN before.number = 0 AND after.number = 0 AND {_SAME_ANSWERS} THEN '{ChangeReason.JUDGE_ANALYSIS}'
        ELSE '{ChangeReason.ANSWER}'
    END AS code, NULL AS drop
    FROM asked {_QUERY}
    LEFT JOIN samples AS before ON before.run_id = :holder AND before.query_id = query.id
        AND before.hash = asked.sample_hash
    LEFT JOIN samples AS after ON after.run_id = :run AND after.query_id = query.id
        AND after.hash = asked.successor_hash
"""
