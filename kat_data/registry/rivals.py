"""What else was answered to the turns of samples, with all that was said of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

# A sample that is known and has no other candidate comes with a null turn; a pair has no turns at all.
_CANDIDATES = text("""
    SELECT encode(samples.hash, 'hex') AS id, samples.run_id AS run, candidates.turn, position, candidates.mode, model,
        thinking, answer, tool_calls, held.turn AS held,
        (SELECT json_build_object('verifier', verifier, 'outcome', outcome, 'status', status) FROM verdicts
         WHERE verdicts.run_id = candidates.run_id AND verdicts.query_id = candidates.query_id
             AND verdicts.turn = candidates.turn AND verdicts.position = candidates.position
             AND outcome <> 'undecided'
         ORDER BY number DESC LIMIT 1) AS verdict,
        (SELECT json_agg(scores) FROM scores
         WHERE scores.run_id = candidates.run_id AND scores.query_id = candidates.query_id
             AND scores.turn = candidates.turn AND scores.candidate = candidates.position) AS scores,
        (SELECT reason FROM votes
         WHERE votes.run_id = candidates.run_id AND votes.query_id = candidates.query_id
             AND votes.turn = candidates.turn AND votes.mode = candidates.mode AND reason <> ''
         ORDER BY votes.position LIMIT 1) AS mode_reason
    FROM samples
    LEFT JOIN LATERAL json_array_elements(samples.sample -> 'turns') WITH ORDINALITY AS held (turn, nr) ON true
    LEFT JOIN candidates ON candidates.run_id = samples.run_id AND candidates.query_id = samples.query_id
        AND candidates.turn = held.nr - 1 AND candidates.fault IS NULL
    WHERE samples.hash = ANY(:ids)
    ORDER BY id, run, samples.number, turn, position
""")


def candidates_of(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return every candidate for the turns of samples, named by their hashes in hex, from every run that made them."""
    hashes = [bytes.fromhex(ident) for ident in ids]
    return [dict(row._mapping) for row in connection.execute(_CANDIDATES, {"ids": hashes})]


def recipes_of(connection: Connection, runs: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the recipes of runs, by run."""
    sql = text("SELECT id, recipe FROM runs WHERE id = ANY(:runs)")
    return {row.id: row.recipe for row in connection.execute(sql, {"runs": list(runs)})}
