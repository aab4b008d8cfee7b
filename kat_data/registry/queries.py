"""What people ask of the registry: costs, compositions, lists. Reads only."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

Row = dict[str, Any]

EVERY_CALL = """
    SELECT id, key, model, revision, state, request, reply, finish_reason, usd, tokens, lost_usd, recorded, run_id,
        seconds, (reply->'usage'->>'prompt_tokens')::bigint AS prompt_tokens,
        (reply->'usage'->>'completion_tokens')::bigint AS completion_tokens, NULL::timestamptz AS pruned_at
    FROM calls
    UNION ALL
    SELECT id, key, model, revision, 'done'::text, NULL::json, NULL::json, finish_reason, usd, tokens, lost_usd,
        recorded, run_id, seconds, prompt_tokens, completion_tokens, pruned_at
    FROM pruned_calls
"""

# Embeddings are asked for in batches before the run's first attempt: they are no attempt's. A key whose reply was
# pruned may be paid for again: the run's call is the one that it paid, or that was there when it was opened.
RUN_CALLS = f"""
    SELECT DISTINCT ON (key) key, model, state, run_id, usd, prompt_tokens, completion_tokens
    FROM (
        SELECT unnest(calls) AS key FROM stage_attempts WHERE run_id = :run
        UNION SELECT key FROM calls WHERE run_id = :run AND state = 'done'
        UNION SELECT key FROM pruned_calls WHERE run_id = :run
        UNION SELECT call FROM semantic_clusters JOIN embeddings USING (embedder_id, query_id) WHERE run_id = :run
    ) AS used JOIN ({EVERY_CALL}) AS calls USING (key)
    WHERE run_id = :run OR pruned_at IS NULL OR pruned_at > (SELECT created_at FROM runs WHERE id = :run)
    ORDER BY key, run_id = :run DESC, pruned_at NULLS LAST
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """What a run's calls cost, in US dollars and tokens.

    `made` and the money are of calls that this run paid; `reused` were in the ledger before; `usd_used` is the price
    of every call behind the run, whoever paid; `recorded` of the made ones came from a recorded ledger, so their
    money is what they would have cost.
    """

    made: int
    reused: int
    recorded: int
    failed: int
    usd: float
    usd_lost: float
    usd_used: float
    prompt_tokens: int
    completion_tokens: int


def run_cost(connection: Connection, run: int) -> RunCost:
    """Return the cost of one run so far."""
    paid = connection.execute(
        text(f"""
            SELECT count(*) FILTER (WHERE state = 'done') AS made,
                count(*) FILTER (WHERE state = 'done' AND recorded) AS recorded,
                count(*) FILTER (WHERE state = 'failed') AS failed,
                coalesce(sum(usd), 0) + (SELECT lost_usd FROM runs WHERE id = :run) AS usd,
                (SELECT lost_usd FROM runs WHERE id = :run) AS usd_lost
            FROM ({EVERY_CALL}) AS calls WHERE run_id = :run
        """),
        {"run": run},
    ).one()
    used = connection.execute(
        text(f"""
            SELECT count(*) FILTER (WHERE run_id <> :run) AS reused,
                coalesce(sum(usd), 0)::double precision AS usd_used,
                coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
                coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens
            FROM ({RUN_CALLS}) AS used
        """),
        {"run": run},
    ).one()
    return RunCost(**paid._mapping, **used._mapping)


def batches_of(connection: Connection, run: int) -> list[Row]:
    """Return the batches that the run has handed in, the newest first, with what each has come to."""
    rows = connection.execute(
        text("""
            SELECT id, endpoint, model, coalesce(outcome, state) AS state, rows, done, provider_id, created_at,
                expires_at
            FROM batches WHERE run_id = :run ORDER BY id DESC
        """),
        {"run": run},
    )
    return [dict(row._mapping) for row in rows]


def models_of(connection: Connection, run: int) -> list[Row]:
    """Return calls, tokens and money by model for every call behind a run."""
    rows = connection.execute(
        text(f"""
            SELECT model, count(*) AS calls, sum(usd)::double precision AS usd,
                sum(prompt_tokens)::bigint AS prompt_tokens, sum(completion_tokens)::bigint AS completion_tokens
            FROM ({RUN_CALLS}) AS used WHERE state = 'done' GROUP BY model ORDER BY model
        """),
        {"run": run},
    )
    return [dict(row._mapping) for row in rows]


def composition(connection: Connection, run: int) -> list[Row]:
    """Return how many queries of a run were accepted, by category and mode, and how many each category brought in."""
    rows = connection.execute(
        text("""
            SELECT queries.category, count(DISTINCT queries.id) AS queries,
                count(*) FILTER (WHERE samples.mode = 'think_on') AS think_on,
                count(*) FILTER (WHERE samples.mode = 'think_off') AS think_off
            FROM work_items JOIN queries ON queries.id = work_items.query_id
            LEFT JOIN samples USING (run_id, query_id)
            WHERE work_items.run_id = :run GROUP BY queries.category ORDER BY queries.category
        """),
        {"run": run},
    )
    return [dict(row._mapping) for row in rows]


def list_queries(connection: Connection) -> list[Row]:
    """Return how many queries each source holds, by category."""
    rows = connection.execute(
        text("""
            SELECT sources.name AS source, sources.licence, category, count(*) AS queries,
                count(verifier) AS verifiable
            FROM queries JOIN sources ON sources.id = queries.source_id
            GROUP BY sources.name, sources.licence, category ORDER BY sources.name, category
        """)
    )
    return [dict(row._mapping) for row in rows]


def list_samples(connection: Connection, run: int | None, limit: int) -> list[Row]:
    """Return accepted samples, the newest first."""
    rows = connection.execute(
        text("""
            SELECT samples.id, encode(samples.hash, 'hex') AS hash, run_id AS run, mode, category,
                sources.name AS source, difficulty, domain, sample, accepted_at
            FROM samples JOIN queries ON queries.id = samples.query_id JOIN sources ON sources.id = queries.source_id
            LEFT JOIN tag_summaries USING (run_id, query_id)
            WHERE (:run)::bigint IS NULL OR run_id = :run
            ORDER BY samples.id DESC LIMIT :limit
        """),
        {"run": run, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]


def accepted_kinds(connection: Connection, run: int) -> set[str]:
    """Return the kinds of verifiers that a run's accepted samples have."""
    sql = """
        SELECT DISTINCT queries.verifier ->> 'kind' FROM samples JOIN queries ON queries.id = samples.query_id
        WHERE run_id = :run AND queries.verifier IS NOT NULL
    """
    return set(connection.execute(text(sql), {"run": run}).scalars())
