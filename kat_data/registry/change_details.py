"""One line for people on why a single row differs: who decided, which benchmark's item, what the verifier said."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, text

from kat_data.domain.change import ChangeReason
from kat_data.registry.changes import SAME_ANSWER, Origin
from kat_data.registry.standing import decision_then, withdrawals_then

_WITHDRAWN = f"""
    SELECT concat_ws(' ', kind || ', by', decided_by || ':', reason) FROM ({withdrawals_then(":query")}) AS withdrawal
    ORDER BY id LIMIT 1
"""
_REVIEW = f"""
    SELECT concat_ws(' ', act, 'by', curator || ':', nullif(array_to_string(reasons, ', '), ''), nullif(note, ''))
    FROM ({decision_then(":sample")}) AS decision
"""
_VERDICT = f"""
    SELECT concat(said.verifier, ': ', said.outcome, ' in run ', said.run_id, '; ', says.verifier, ': ', says.outcome,
        ' in run ', says.run_id)
    FROM candidates AS mine
    JOIN candidates AS theirs ON theirs.query_id = mine.query_id AND theirs.turn = mine.turn AND {SAME_ANSWER}
    JOIN verdicts AS said ON said.run_id = mine.run_id AND said.query_id = mine.query_id AND said.turn = mine.turn
        AND said.position = mine.position
    JOIN verdicts AS says ON says.run_id = theirs.run_id AND says.query_id = mine.query_id AND says.turn = mine.turn
        AND says.position = theirs.position AND says.number = said.number
    WHERE mine.query_id = :query AND mine.run_id = :holder AND theirs.run_id = :run AND said.outcome <> says.outcome
    ORDER BY mine.turn, mine.position, said.number LIMIT 1
"""
_ITEM = """
    SELECT concat(state, ' at ', stage, ' of run ', run_id, ': ' || nullif(detail, '')) FROM work_items
    WHERE run_id = :run AND query_id = :query
"""
_DECONTAMINATION = f"""
    SELECT concat(({_ITEM}), (
        SELECT concat('; allowed by ', decided_by, ': ', reason) FROM allowances
        WHERE query_id = :query ORDER BY decided_at DESC LIMIT 1))
"""
_NEW_QUERY = "SELECT concat('imported ', date_trunc('second', imported_at)) FROM queries WHERE id = :query"

_SQL: Final[Mapping[ChangeReason, str]] = MappingProxyType(
    {
        ChangeReason.WITHDRAWN: _WITHDRAWN,
        ChangeReason.REVIEW: _REVIEW,
        ChangeReason.NEAR_DUPLICATE: _ITEM,
        ChangeReason.SEMANTIC_DUPLICATE: _ITEM,
        ChangeReason.DECONTAMINATION: _DECONTAMINATION,
        ChangeReason.VERDICT: _VERDICT,
        ChangeReason.MIXTURE: _ITEM,
        ChangeReason.RESCORED: _ITEM,
        ChangeReason.DROPPED: _ITEM,
        ChangeReason.UNFINISHED: _ITEM,
        ChangeReason.NEW_QUERY: _NEW_QUERY,
    }
)


def detail(
    connection: Connection, reason: ChangeReason, *, query: str, sample: str, holder: Origin | None, other: Origin
) -> str:
    """Return what the registry says of one row beyond its reason, or nothing; hashes are hex.

    `holder` is where the row stands, `other` where it does not, or where another sample does.
    """
    if reason not in _SQL:
        return ""
    by_hash = connection.execute(text("SELECT id FROM queries WHERE hash = :hash"), {"hash": bytes.fromhex(query)})
    values: dict[str, Any] = {
        "query": by_hash.scalar(),
        "sample": bytes.fromhex(sample),
        "holder": holder.run if holder else None,
        "run": other.run,
        "built": other.built_at,
    }
    return connection.execute(text(_SQL[reason]), values).scalar() or ""
