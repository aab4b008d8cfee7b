"""Queries as people name them: by their content hash, by that of a sample of theirs, or by the start of either."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from kat_data.errors import InputError
from kat_data.registry.hash_prefix import hash_range

LEAST_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The ids of the queries that were named, and the names that nothing has."""

    queries: list[int]
    unknown: list[str]


def find_queries(connection: Connection, names: Sequence[str]) -> Named:
    """Find the queries of these names; raises `InputError` where one is no hash, or the start of several."""
    names = list(dict.fromkeys(names))
    ranges = [hash_range(name) if len(name) >= LEAST_DIGITS else None for name in names]
    if wrong := [name for name, within in zip(names, ranges, strict=True) if within is None]:
        raise InputError(
            f"{wrong[0]!r} is no query's or row's hash: give at least {LEAST_DIGITS} of its digits (0-9, a-f)"
        )
    values = {
        "firsts": [found["first"] for found in ranges if found],
        "lasts": [found["last"] for found in ranges if found],
    }
    rows = connection.execute(text(_FIND), values).all()
    if several := [names[row.place - 1] for row in rows if row.hashes > 1]:
        raise InputError(f"several queries or rows have a hash that begins with {several[0]!r}: give more of it")
    known = {row.place for row in rows}
    return Named(
        queries=sorted({query for row in rows for query in row.queries}),
        unknown=[name for place, name in enumerate(names, 1) if place not in known],
    )


# A row can be the answer to several queries only where these say the same in other words; then it names them all. No
# limit, which could hide one of them: of so many digits few hashes are the same, and a row stands in a run or two.
_FIND = """
    SELECT place, count(DISTINCT hash) AS hashes, array_agg(id) AS queries
    FROM unnest((:firsts)::bytea[], (:lasts)::bytea[]) WITH ORDINALITY AS named(first, last, place), LATERAL (
        SELECT hash, id FROM queries WHERE hash BETWEEN first AND last
        UNION
        SELECT hash, query_id FROM samples WHERE hash BETWEEN first AND last
    ) AS found
    GROUP BY place
"""
