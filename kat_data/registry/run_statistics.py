"""A run's statistics, as aggregates of the database: no row of it is read one by one."""

from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.run_statistics import AnswerTokens, Duplicates, Judged, RunStatistics, Voter, Votes
from kat_data.registry.queries import RunCost

_ACCEPTED = """
    SELECT query_id, turn, accepted AS position FROM turns WHERE run_id = :run AND accepted IS NOT NULL
        AND query_id IN (SELECT query_id FROM samples WHERE run_id = :run)
    UNION ALL
    SELECT query_id, turn, position FROM further WHERE run_id = :run AND kept
        AND query_id IN (SELECT query_id FROM samples WHERE run_id = :run)
"""

_TOKENS = f"""
    SELECT mode, count(*) AS answers, count(tokens) AS counted, coalesce(sum(tokens), 0)::bigint AS tokens,
        coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY tokens), 0) AS median,
        coalesce(percentile_disc(0.9) WITHIN GROUP (ORDER BY tokens), 0) AS p90,
        coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY tokens), 0) AS p99,
        coalesce(max(tokens), 0) AS longest
    FROM ({_ACCEPTED}) AS accepted JOIN candidates USING (query_id, turn, position)
    WHERE run_id = :run GROUP BY mode ORDER BY mode
"""

# Of n votes with k for thinking, k(k-1) + (n-k)(n-k-1) of the n(n-1) ordered pairs agree.
_VOTES = """
    SELECT count(*) AS turns, sum(n)::bigint AS votes, sum(k)::bigint AS on_votes,
        count(*) FILTER (WHERE k IN (0, n)) AS unanimous,
        avg((k * (k - 1) + (n - k) * (n - k - 1))::double precision / (n * (n - 1))) FILTER (WHERE n > 1) AS agreement
    FROM (
        SELECT count(*) AS n, count(*) FILTER (WHERE mode = 'think_on') AS k FROM votes
        WHERE run_id = :run AND query_id IN (SELECT query_id FROM samples WHERE run_id = :run)
        GROUP BY query_id, turn
    ) AS ballots
"""

_MARGINS = """
    SELECT to_char(floor(margin * 10 + 1e-9) / 10, 'FM0.0') AS name, count(*) AS count FROM turns
    WHERE run_id = :run AND margin IS NOT NULL AND query_id IN (SELECT query_id FROM samples WHERE run_id = :run)
    GROUP BY name ORDER BY name
"""

_VOTERS = """
    SELECT model, count(*) AS votes, count(*) FILTER (WHERE votes.mode = turns.mode) AS agreed
    FROM votes JOIN turns USING (run_id, query_id, turn)
    WHERE run_id = :run AND origin = 'majority' AND query_id IN (SELECT query_id FROM samples WHERE run_id = :run)
    GROUP BY model ORDER BY model
"""

_ORIGINS = """
    SELECT origin AS name, count(*) AS count FROM turns
    WHERE run_id = :run AND origin IS NOT NULL AND query_id IN (SELECT query_id FROM samples WHERE run_id = :run)
    GROUP BY origin ORDER BY origin
"""

_JUDGED = """
    SELECT category, candidates.mode, count(*) AS answers, count(*) FILTER (WHERE outcome = 'correct') AS correct,
        count(*) FILTER (WHERE outcome = 'incorrect') AS incorrect,
        count(*) FILTER (WHERE outcome = 'undecided') AS undecided
    FROM (
        SELECT DISTINCT ON (query_id, turn, position) run_id, query_id, turn, position, outcome FROM verdicts
        WHERE run_id = :run ORDER BY query_id, turn, position, number DESC
    ) AS last
    JOIN candidates USING (run_id, query_id, turn, position) JOIN queries ON queries.id = query_id
    GROUP BY category, candidates.mode ORDER BY category, candidates.mode
"""

# Not with NOT IN, which looks through all own queries for each member once they are too many for a hash table.
_DUPLICATES = """
    WITH own AS (SELECT DISTINCT query_id FROM samples WHERE run_id = :run)
    SELECT
        (SELECT coalesce(sum(duplicates), 0)::bigint FROM imports WHERE source_id IN
            (SELECT source_id FROM queries JOIN own ON own.query_id = queries.id)) AS exact,
        (SELECT count(*) FROM cluster_members WHERE cluster_id IN
            (SELECT cluster_id FROM cluster_members JOIN own USING (query_id))
            AND NOT EXISTS (SELECT FROM own WHERE own.query_id = cluster_members.query_id)) AS near
"""

_LANGUAGES = """
    SELECT coalesce(labels ->> 'language', 'untagged') AS name, count(*) AS count
    FROM samples JOIN tag_summaries USING (run_id, query_id)
    WHERE run_id = :run GROUP BY name ORDER BY count DESC, name
"""

_SAMPLES = "SELECT count(*) FROM samples WHERE run_id = :run"


def run_statistics(connection: Connection, run: int, cost: RunCost) -> RunStatistics:
    """Return the statistics of a run that cost so much, over its accepted samples where nothing else is said."""
    samples = connection.execute(text(_SAMPLES), {"run": run}).scalar_one()
    languages = _counts(connection, _LANGUAGES, run)
    return RunStatistics(
        samples=samples,
        tokens=tuple(AnswerTokens(**row) for row in _rows(connection, _TOKENS, run)),
        votes=_votes(connection, run),
        voters=tuple(Voter(**row) for row in _rows(connection, _VOTERS, run)),
        origins=_counts(connection, _ORIGINS, run),
        judged=tuple(Judged(**row) for row in _rows(connection, _JUDGED, run)),
        duplicates=Duplicates(**_rows(connection, _DUPLICATES, run)[0]),
        languages=languages if set(languages) != {"untagged"} else {},
        usd_per_sample=cost.usd_used / samples if samples else 0.0,
        calls_per_sample=(cost.made + cost.reused) / samples if samples else 0.0,
    )


def _votes(connection: Connection, run: int) -> Votes | None:
    found = connection.execute(text(_VOTES), {"run": run}).one()
    if not found.turns:
        return None
    return Votes(
        turns=found.turns,
        votes=found.votes,
        unanimous=found.unanimous,
        agreement=found.agreement,
        kappa=_kappa(found.agreement, found.on_votes / found.votes),
        margins=_counts(connection, _MARGINS, run),
    )


def _kappa(agreement: float | None, share: float) -> float | None:
    """Fleiss' kappa of two classes, of which one got this share of all votes."""
    by_chance = share**2 + (1 - share) ** 2
    return None if agreement is None or by_chance == 1 else (agreement - by_chance) / (1 - by_chance)


def _rows(connection: Connection, sql: str, run: int) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(text(sql), {"run": run})]


def _counts(connection: Connection, sql: str, run: int) -> dict[str, int]:
    return {row["name"]: row["count"] for row in _rows(connection, sql, run)}
