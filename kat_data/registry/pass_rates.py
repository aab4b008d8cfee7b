"""Pass rates in the registry: what was measured of a query, by which revision of which policy, and how it was asked.

A measurement of the same revision in the same way counts once: the one with the most rollouts, and of those the latest.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

Row = dict[str, Any]

WAY = ("policy", "revision", "mode", "prompted", "temperature", "top_p", "max_tokens")
_WAY = ", ".join(WAY)

EFFECTIVE = f"""
    SELECT DISTINCT ON (query_id, {_WAY}) query_id, {_WAY}, soft, k, correct, incorrect, undecided, tokens,
        measured_at, run_id AS run, correct::double precision / nullif(correct + incorrect, 0) AS rate
    FROM pass_rates WHERE {{where}}
    ORDER BY query_id, {_WAY}, k DESC, measured_at DESC, run_id DESC
"""


def list_measurements(connection: Connection, policy: str | None = None) -> list[Row]:
    """Return what was measured with each revision of each policy, the latest first.

    `mean` is over the queries with a rate; `never` and `always` count those at 0 and at 1; `tokens` is the mean of a
    rollout; `undecided` is a share of all rollouts.
    """
    effective = EFFECTIVE.format(where="(:policy)::text IS NULL OR policy = :policy")
    rows = connection.execute(
        text(f"""
            SELECT {_WAY}, count(*) AS queries, sum(k)::bigint AS rollouts, avg(rate) AS mean,
                count(*) FILTER (WHERE rate = 0) AS never, count(*) FILTER (WHERE rate = 1) AS always,
                sum(undecided)::double precision / sum(k) AS undecided,
                sum(tokens)::double precision / sum(k) AS tokens, count(*) FILTER (WHERE soft) AS soft,
                max(measured_at) AS measured_at
            FROM ({effective}) AS effective GROUP BY {_WAY} ORDER BY max(measured_at) DESC, {_WAY}
        """),
        {"policy": policy},
    )
    return [dict(row._mapping) for row in rows]


def measured(connection: Connection, revisions: Sequence[str], policy: str | None = None) -> list[Row]:
    """Return every query's measurement by these revisions, with its content hash and category."""
    effective = EFFECTIVE.format(where="revision = ANY(:revisions) AND ((:policy)::text IS NULL OR policy = :policy)")
    rows = connection.execute(
        text(f"""
            SELECT effective.*, encode(hash, 'hex') AS query, category FROM ({effective}) AS effective
            JOIN queries ON queries.id = query_id ORDER BY hash
        """),
        {"revisions": list(revisions), "policy": policy},
    )
    return [dict(row._mapping) for row in rows]


def measured_of_run(connection: Connection, run: int) -> list[Row]:
    """Return the measurements of a run's queries, whichever run made them."""
    effective = EFFECTIVE.format(where="query_id IN (SELECT query_id FROM work_items WHERE run_id = :run)")
    return [dict(row._mapping) for row in connection.execute(text(effective), {"run": run})]


def verified_candidates(connection: Connection, run: int, *, fewest: int) -> list[Row]:
    """Return how many of a run's answers were correct by query, where a verifier decided on at least `fewest`.

    Opinions of models are no verification; each answer counts by its last verdict with a reward.
    """
    rows = connection.execute(
        text("""
            SELECT query_id, count(*) FILTER (WHERE outcome = 'correct') AS correct,
                count(*) FILTER (WHERE outcome = 'incorrect') AS incorrect
            FROM (
                SELECT DISTINCT ON (query_id, turn, position) query_id, outcome FROM verdicts
                WHERE run_id = :run AND reward IS NOT NULL ORDER BY query_id, turn, position, number DESC
            ) AS last
            GROUP BY query_id HAVING count(*) >= :fewest
        """),
        {"run": run, "fewest": fewest},
    )
    return [dict(row._mapping) for row in rows]


def first_answers(connection: Connection, run: int) -> list[Row]:
    """Return whether the first answer to each query of a run was correct, where a verifier decided on it.

    The first answer is drawn whatever comes of it, so its mean is the pass rate's also where drawing stops at success.
    """
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (query_id) query_id, (outcome = 'correct')::int::double precision AS rate FROM verdicts
            WHERE run_id = :run AND position = 0 AND reward IS NOT NULL ORDER BY query_id, turn DESC, number DESC
        """),
        {"run": run},
    )
    return [dict(row._mapping) for row in rows]


def tagged_difficulties(connection: Connection, run: int) -> list[Row]:
    """Return what each tagger of a run said of each query, in the taggers' order, with the median of them all."""
    rows = connection.execute(
        text("""
            SELECT query_id, position, model, tags.difficulty, tag_summaries.difficulty AS median
            FROM tags JOIN tag_summaries USING (run_id, query_id) WHERE run_id = :run ORDER BY query_id, position
        """),
        {"run": run},
    )
    return [dict(row._mapping) for row in rows]
