"""Where samples and snapshots come from, and where they went: everything the registry knows of one of them."""

from typing import Any, Final

from sqlalchemy import Connection, text

from kat_data.errors import NotFoundError, UserError
from kat_data.registry import withdrawals
from kat_data.registry.hash_prefix import BETWEEN, hash_range
from kat_data.registry.queries import EVERY_CALL
from kat_data.registry.standing import LAST_DECISIONS
from kat_data.registry.training import trained_on

Row = dict[str, Any]


def sample_lineage(connection: Connection, ident: str | int) -> Row:
    """Return everything behind one sample, named by its id or the start of its hash, and what was made of it.

    Also items that were dropped can be asked for, as `RUN/QUERY`; an `int` is an id and nothing else. `usd` is the sum
    over `calls`, each of which stands there once. Raises `NotFoundError`, or `UserError` where several may be meant.
    """
    run, query, number = _find_item(connection, ident)
    key = {"run": run, "query": query}
    lineage: Row = {
        "run": run,
        "query": _one(connection, _QUERY, key),
        "conflicts": _all(connection, _CONFLICTS, key),
        "withdrawals": withdrawals.of_query(connection, query),
        "item": _one(connection, "SELECT * FROM work_items WHERE run_id = :run AND query_id = :query", key),
        "sample": _one(connection, _SAMPLE, {**key, "number": number}),
    }
    for table, order in FACT_ORDER.items():
        lineage[table] = _all(
            connection, f"SELECT * FROM {table} WHERE run_id = :run AND query_id = :query ORDER BY {order}", key
        )
    lineage["calls"] = _all(connection, _CALLS, key)
    lineage["usd"] = sum(call["usd"] for call in lineage["calls"])
    return lineage | _afterlife(connection, lineage["sample"])


def snapshot_lineage(connection: Connection, content_hash: str) -> Row | None:
    """Return what the registry knows of a snapshot by the start of its content hash; none where it knows of none.

    The runs that its rows came from, how many of its rows are withdrawn by now, and what was trained on it. Raises
    `UserError` where several hashes begin so.
    """
    within = hash_range(content_hash)
    rows = _all(connection, _SNAPSHOT, within) if within else []
    if not rows:
        return None
    if len({row["hash"] for row in rows}) > 1:
        raise UserError(
            f"several snapshots' hashes begin with {content_hash!r}: give more of the hash, or NAME@VERSION"
        )
    found = rows[0]
    ident = found.pop("id")
    return found | {
        "runs": _all(connection, _RUNS, {"snapshot": ident}),
        "withdrawn": withdrawals.withdrawn_rows(connection, bytes.fromhex(found["hash"])),
        "training": trained_on(connection, [bytes.fromhex(found["hash"])]),
    }


def named_samples(connection: Connection, ident: str) -> list[Row]:
    """Return the samples that have this id or whose hash begins so, of those of one hash the first, and three at most.

    A number of fewer than `LEAST_DIGITS` digits is an id alone: some sample's hash would begin with each of them.
    """
    found = _all(connection, _BY_ID, {"ident": int(ident)}) if ident.isdecimal() and len(ident) < 16 else []
    if is_hash_start(ident):
        found += _all(connection, _BY_HASH, hash_range(ident) or {})
    return list({row["hash"]: row for row in reversed(found)}.values())[::-1]


def is_hash_start(ident: str) -> bool:
    """Whether these may be the first digits of a hash: not those of a number so short that it is an id alone."""
    return hash_range(ident) is not None and not (ident.isdecimal() and len(ident) < LEAST_DIGITS)


LEAST_DIGITS: Final = 8


def labelled(connection: Connection, name: str, version: int | None) -> str | None:
    """Return the content hash, hex, of a noted snapshot's version, or of its newest where none is given."""
    sql = """
        SELECT encode(hash, 'hex') FROM snapshots WHERE name = :name AND version = coalesce(:version, version)
        ORDER BY version DESC LIMIT 1
    """
    found: str | None = connection.execute(text(sql), {"name": name, "version": version}).scalar()
    return found


def noted_versions(connection: Connection, name: str) -> dict[int, str]:
    """Return the content hashes, hex, of the versions of a name that were ever noted, whatever folder they are in."""
    sql = "SELECT version, encode(hash, 'hex') AS hash FROM snapshots WHERE name = :name ORDER BY version"
    return {row.version: row.hash for row in connection.execute(text(sql), {"name": name})}


def sample_in(connection: Connection, sample_hash: str, snapshot_hash: str) -> int | None:
    """Return the id of the sample that a snapshot's row is, or else of any other with this hash; both hashes whole."""
    sql = """
        SELECT samples.id FROM samples
        LEFT JOIN (snapshot_rows JOIN snapshots ON snapshots.id = snapshot_id AND snapshots.hash = :snapshot)
            ON sample_id = samples.id
        WHERE samples.hash = :sample ORDER BY sample_id NULLS LAST, samples.id LIMIT 1
    """
    values = {"sample": bytes.fromhex(sample_hash), "snapshot": bytes.fromhex(snapshot_hash)}
    found: int | None = connection.execute(text(sql), values).scalar()
    return found


def _afterlife(connection: Connection, sample: Row | None) -> Row:
    """What curators made of a sample, what holds it, and what was trained on that."""
    if sample is None:
        return {"decisions": [], "standing_decision": None, "snapshots": [], "training": []}
    key = {"hash": sample["hash"]}
    snapshots = _all(connection, _SNAPSHOTS, key)
    return {
        "decisions": _all(connection, _DECISIONS, key),
        "standing_decision": _one(connection, _STANDING_DECISION, key),
        "snapshots": snapshots,
        "training": trained_on(connection, [bytes.fromhex(found["hash"]) for found in snapshots]),
    }


FACT_ORDER = {
    "semantic_clusters": "query_id",
    "tags": "position",
    "tag_summaries": "query_id",
    "soft_labels": "query_id",
    "soft_label_answers": "position",
    "pass_rates": "query_id",
    "rollouts": "position",
    "intents": "turn",
    "turns": "turn",
    "votes": "turn, position",
    "mode_measurements": "turn",
    "candidates": "turn, position",
    "verdicts": "turn, position, number",
    "further": "turn, position",
    "scores": "turn, position",
    "stage_attempts": "id",
}

_QUERY = """
    SELECT queries.id, encode(hash, 'hex') AS hash, category, messages, tools, reference, verifier,
        sources.name AS source, sources.licence, line, document
    FROM queries JOIN sources ON sources.id = queries.source_id WHERE queries.id = :query
"""

_CONFLICTS = """
    SELECT sources.name AS source, line, reference FROM query_conflicts JOIN sources ON sources.id = source_id
    WHERE query_id = :query ORDER BY query_conflicts.id
"""

# The same sample may stand in several runs: the first of them is shown.
_BY_HASH = f"""
    SELECT DISTINCT ON (samples.hash) encode(hash, 'hex') AS hash, run_id, query_id, number FROM samples
    WHERE hash {BETWEEN} ORDER BY samples.hash, id LIMIT 2
"""

_BY_ID = "SELECT encode(hash, 'hex') AS hash, run_id, query_id, number FROM samples WHERE id = :ident"

_SAMPLE = "SELECT * FROM samples WHERE run_id = :run AND query_id = :query AND number = :number"

# A call stands where it was asked for first; a later stage that asks the same gets the same reply for nothing.
_CALLS = f"""
    SELECT turn, stage, stages, encode(key, 'hex') AS key, model, revision, state, request, reply, finish_reason, usd,
        lost_usd, tokens, prompt_tokens, completion_tokens, recorded, paid_by_run, seconds,
        CASE WHEN pruned_at IS NOT NULL THEN 'request and reply' WHEN request IS NULL THEN 'request' END AS pruned
    FROM (
        SELECT DISTINCT ON (key) first, turn, stage, stages, calls.*, calls.run_id AS paid_by_run
        FROM (
            SELECT key, min(id) AS first, (array_agg(turn ORDER BY id))[1] AS turn,
                (array_agg(stage ORDER BY id))[1] AS stage, array_agg(DISTINCT stage) AS stages
            FROM stage_attempts, unnest(calls) AS key WHERE run_id = :run AND query_id = :query GROUP BY key
        ) AS used JOIN ({EVERY_CALL}) AS calls USING (key)
        WHERE run_id = :run OR pruned_at IS NULL OR pruned_at > (SELECT created_at FROM runs WHERE id = :run)
        ORDER BY key, run_id = :run DESC, pruned_at NULLS LAST
    ) AS behind ORDER BY first, id
"""

_DECISIONS = """
    SELECT id, event, sample_id, act, curator, reasons, note, payload, guideline, dwell, undoes, decided_at,
        EXISTS (SELECT FROM decisions AS undo WHERE undo.undoes = decisions.id) AS undone
    FROM decisions WHERE sample_hash = :hash ORDER BY id
"""

_STANDING_DECISION = f"""
    SELECT id, act, curator, decided_at FROM ({LAST_DECISIONS}) AS last_decisions WHERE sample_hash = :hash
"""

_SNAPSHOTS = """
    SELECT DISTINCT name, version, encode(snapshots.hash, 'hex') AS hash, path FROM snapshot_rows
    JOIN snapshots ON snapshots.id = snapshot_rows.snapshot_id JOIN samples ON samples.id = snapshot_rows.sample_id
    WHERE samples.hash = :hash ORDER BY name, version
"""

_SNAPSHOT = f"""
    SELECT id, name, version, encode(hash, 'hex') AS hash, stage, path, manifest, created_at FROM snapshots
    WHERE hash {BETWEEN} ORDER BY hash, id LIMIT 2
"""

_RUNS = """
    SELECT runs.id, runs.name, runs.state, count(DISTINCT samples.hash) AS rows FROM snapshot_rows
    JOIN samples ON samples.id = sample_id JOIN runs ON runs.id = samples.run_id
    WHERE snapshot_id = :snapshot GROUP BY runs.id ORDER BY runs.id
"""


def _find_item(connection: Connection, ident: str | int) -> tuple[int, int, int]:
    if isinstance(ident, int):
        rows = _all(connection, _BY_ID, {"ident": ident})
    elif "/" in ident:
        return *_find_run_and_query(connection, ident), 0
    else:
        rows = named_samples(connection, ident)
    if not rows:
        raise NotFoundError(f"no sample {ident}: `kat samples list` shows them")
    if len(rows) > 1:
        meant = " or ".join(f"sample {row['hash'][:_SHOWN]}" for row in rows)
        raise UserError(f"{ident} may be {meant}: give more of the hash")
    return rows[0]["run_id"], rows[0]["query_id"], rows[0]["number"]


_SHOWN = 16  # digits, which tell any two hashes apart


def _find_run_and_query(connection: Connection, ident: str) -> tuple[int, int]:
    run, _, query = ident.partition("/")
    if not (run.isdecimal() and query.isdecimal()):
        raise UserError(f"{ident!r} is not RUN/QUERY: give two numbers, as `kat runs items RUN` prints them")
    sql = "SELECT run_id, query_id FROM work_items WHERE run_id = :run AND query_id = :query"
    row = _one(connection, sql, {"run": int(run), "query": int(query)})
    if row is None:
        raise NotFoundError(f"no item {ident}: `kat runs items RUN` lists the queries of a run")
    return row["run_id"], row["query_id"]


def _one(connection: Connection, sql: str, key: Row) -> Row | None:
    row = connection.execute(text(sql), key).one_or_none()
    return dict(row._mapping) if row is not None else None


def _all(connection: Connection, sql: str, key: Row) -> list[Row]:
    return [dict(row._mapping) for row in connection.execute(text(sql), key)]
