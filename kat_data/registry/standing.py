"""Which samples still stand: neither withdrawn nor rejected. Named SQL for whatever is made of samples.

What held earlier, at `:built`, is asked for by `withdrawals_then` and `decision_then`: what was decided or taken back
later does not count there.
"""

from kat_data.domain.decision import SETTLING, Act

_ACTS = ", ".join(f"'{act}'" for act in sorted(SETTLING))

WITHDRAWN = """
    SELECT query_id FROM withdrawn_queries
    WHERE withdrawal_id NOT IN (SELECT undoes FROM withdrawals WHERE undoes IS NOT NULL)
"""
"""A relation of `query_id`: every query that is withdrawn, once for each withdrawal that has not been undone."""

LAST_DECISIONS = f"""
    SELECT DISTINCT ON (sample_hash) sample_hash, id, act, curator, reasons, note, decided_at FROM decisions
    WHERE act IN ({_ACTS}) AND NOT EXISTS (SELECT FROM decisions AS undo WHERE undo.undoes = decisions.id)
    ORDER BY sample_hash, id DESC
"""
"""A relation of one row for each sample's hash: the decision on it that holds."""

REJECTED = f"SELECT sample_hash FROM ({LAST_DECISIONS}) AS last_decisions WHERE act = '{Act.REJECT}'"
"""A relation of `sample_hash`: every sample whose last standing decision is a rejection."""


def withdrawn(query: str) -> str:
    """Return the condition that the query with this id, an SQL expression, is withdrawn.

    Not `IN`, which looks through all that is withdrawn for each query once that outgrows the memory of a step; and the
    column has a name of its own here, so that `query_id` is that of the statement around it.
    """
    return f"EXISTS (SELECT FROM ({WITHDRAWN}) AS withdrawn(one) WHERE withdrawn.one = {query})"


def withdrawals_then(query: str) -> str:
    """Return a relation of the withdrawals of the query with this id, an SQL expression, that held at `:built`."""
    return f"""
        SELECT withdrawals.* FROM withdrawn_queries JOIN withdrawals ON withdrawals.id = withdrawal_id
        WHERE query_id = {query} AND decided_at <= :built AND NOT EXISTS (
            SELECT FROM withdrawals AS undo WHERE undo.undoes = withdrawals.id AND undo.decided_at <= :built)
    """


def decision_then(sample: str) -> str:
    """Return a relation of the decision that held at `:built` on the sample with this hash, an SQL expression."""
    return f"""
        SELECT decisions.* FROM decisions
        WHERE sample_hash = {sample} AND act IN ({_ACTS}) AND decided_at <= :built AND NOT EXISTS (
            SELECT FROM decisions AS undo WHERE undo.undoes = decisions.id AND undo.decided_at <= :built)
        ORDER BY decisions.id DESC LIMIT 1
    """


STANDS = f"""
    NOT {withdrawn("samples.query_id")}
    AND NOT EXISTS (SELECT FROM ({REJECTED}) AS rejected WHERE rejected.sample_hash = samples.hash)
"""
"""A condition on rows of `samples`, by that name: nothing keeps the sample out of a snapshot."""
