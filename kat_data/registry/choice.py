"""Which of the registry's queries a run takes, and which of them it leaves out: withdrawn, or of another licence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.drop import DropReason
from kat_data.domain.licence import allowed
from kat_data.errors import UserError
from kat_data.registry.standing import withdrawn

_WANTED = """
    FROM queries JOIN sources ON sources.id = queries.source_id
    WHERE (cardinality((:sources)::text[]) = 0 OR sources.name = ANY(:sources))
      AND (cardinality((:categories)::text[]) = 0 OR queries.category = ANY(:categories))
"""

_CHOSEN = f"""
    SELECT queries.id, queries.hash, queries.category {_WANTED} AND NOT {withdrawn("queries.id")}
      AND ((:licences)::text[] IS NULL OR sources.licence = ANY(:licences))
    ORDER BY queries.hash LIMIT (:limit)::bigint
"""

_LEFT_OUT = f"""
    SELECT reason, source, licence, count(*) AS queries FROM (
        SELECT sources.name AS source, sources.licence, CASE
            WHEN {withdrawn("queries.id")} THEN '{DropReason.WITHDRAWN}'
            WHEN sources.licence <> ALL((:licences)::text[]) THEN '{DropReason.LICENCE_NOT_ALLOWED}' END AS reason
        {_WANTED}
    ) AS wanted WHERE reason IS NOT NULL GROUP BY reason, source, licence ORDER BY source, reason
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Queries of these sources, categories and licences, or of all where none is named; the first `limit` by hash."""

    sources: Sequence[str] = ()
    categories: Sequence[str] = ()
    licences: Sequence[str] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The queries of a choice, which stand in the transaction's temporary table `chosen` (id, hash, category).

    `digest` is the hash over theirs, `left_out` counts by source those that are withdrawn or of another licence.
    """

    digest: bytes
    count: int
    left_out: list[dict[str, Any]]


def choose(connection: Connection, choice: Choice) -> Chosen:
    """Choose queries once, so that all that is made of them in this transaction is of the same ones.

    Raises `UserError` where there is none.
    """
    values = _values(connection, choice)
    left_out = _left_out(connection, values)
    connection.execute(text("CREATE TEMPORARY TABLE chosen (id bigint, hash bytea, category text) ON COMMIT DROP"))
    connection.execute(text(f"INSERT INTO chosen {_CHOSEN}"), values)
    digest, count = connection.execute(
        text("SELECT sha256(string_agg(hash, ''::bytea ORDER BY hash)), count(*) FROM chosen")
    ).one()
    if not count:
        raise UserError(_nothing_chosen(choice, left_out))
    return Chosen(digest=digest, count=count, left_out=left_out)


def count_chosen(connection: Connection, choice: Choice) -> int:
    """Return how many queries a run over this choice would take."""
    sql = text(f"SELECT count(*) FROM ({_CHOSEN}) AS chosen")
    count: int = connection.execute(sql, _values(connection, choice)).scalar_one()
    return count


def _values(connection: Connection, choice: Choice) -> dict[str, Any]:
    """Return the statements' values; licences become those spellings of the registry's that they cover."""
    covered = None
    if choice.licences:
        known = connection.execute(text("SELECT DISTINCT licence FROM sources")).scalars()
        covered = [licence for licence in known if allowed(licence, choice.licences)]
    return {
        "sources": list(choice.sources),
        "categories": list(choice.categories),
        "licences": covered,
        "limit": choice.limit,
    }


def _left_out(connection: Connection, values: dict[str, Any]) -> list[dict[str, Any]]:
    if values["licences"] is None and not connection.execute(text("SELECT EXISTS (SELECT FROM withdrawals)")).scalar():
        return []
    rows = connection.execute(text(_LEFT_OUT), {name: values[name] for name in ("sources", "categories", "licences")})
    return [dict(row._mapping) for row in rows]


def _nothing_chosen(choice: Choice, left_out: Sequence[dict[str, Any]]) -> str:
    named = {"sources": choice.sources, "categories": choice.categories, "licences": choice.licences}
    parts = [f"{what} {', '.join(names)}" for what, names in named.items() if names]
    scope = f" with {' and '.join(parts)}" if parts else ""
    others = sorted({row["licence"] for row in left_out if row["reason"] == DropReason.LICENCE_NOT_ALLOWED})
    if gone := sum(row["queries"] for row in left_out if row["reason"] == DropReason.WITHDRAWN):
        return (
            f"the registry holds no query{scope} that could be used: {gone:,} are withdrawn (`kat queries withdrawals`)"
        ) + (f", others are under {', '.join(others)}" if others else "")
    if others:
        return f"the registry holds no query{scope}: those that it has are under {', '.join(others)}"
    return f"the registry holds no query{scope}: import some with `kat queries import FILE --preset …`"
