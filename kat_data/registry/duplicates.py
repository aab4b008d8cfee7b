"""What the clusters of near-duplicates say: of a run's queries, and to people."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.category import Category
from kat_data.domain.duplicate import NearDuplicate
from kat_data.registry.session import STREAMED
from kat_data.registry.standing import WITHDRAWN, withdrawn

_FIRST_LEFT = f"""
    SELECT min(other.query_id) FROM cluster_members AS other
    WHERE other.cluster_id = clusters.id AND NOT {withdrawn("other.query_id")}
"""
_OF_RUN = "SELECT query_id FROM work_items WHERE run_id = :run"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """Two queries that are near-duplicates, with their categories, and their cluster's representative."""

    first: int
    second: int
    similarity: float
    categories: tuple[Category, Category]
    representative: int


def of_run(connection: Connection, run: int) -> dict[bytes, NearDuplicate]:
    """Return by content hash the queries of a run that the registry holds a representative for.

    For a representative that was withdrawn stands the first of its cluster that was not.
    """
    sql = f"""
        SELECT query.hash, kept.hash AS representative, nearest.hash AS nearest, similarity
        FROM cluster_members JOIN clusters ON clusters.id = cluster_id
        LEFT JOIN (SELECT DISTINCT query_id FROM ({WITHDRAWN}) AS withdrawn) AS gone(one) ON gone.one = representative
        JOIN LATERAL (SELECT CASE WHEN gone.one IS NULL THEN representative ELSE ({_FIRST_LEFT}) END AS id) AS stays
            ON true
        JOIN queries AS query ON query.id = query_id
        JOIN queries AS kept ON kept.id = stays.id
        JOIN queries AS nearest ON nearest.id = nearest
        WHERE query_id IN ({_OF_RUN}) AND query_id <> stays.id
    """
    return {
        bytes(row.hash): NearDuplicate(
            representative=sys.intern(row.representative.hex()), nearest=row.nearest.hex(), similarity=row.similarity
        )
        for row in connection.execute(text(sql), {"run": run}, execution_options=STREAMED)
    }


def pairs_of_run(connection: Connection, run: int, *, inside: bool) -> Iterator[PairRow]:
    """Yield the pairs within the clusters that a run's queries are in; only those `inside` the run if so asked.

    Withdrawn queries stand for nobody.
    """
    within = f"AND first IN ({_OF_RUN}) AND second IN ({_OF_RUN})" if inside else ""
    sql = f"""
        SELECT first, second, near_duplicates.similarity, one.category AS one, other.category AS other, representative
        FROM near_duplicates JOIN cluster_members ON query_id = first JOIN clusters ON clusters.id = cluster_id
        JOIN queries AS one ON one.id = first JOIN queries AS other ON other.id = second
        WHERE cluster_id IN (SELECT cluster_id FROM cluster_members WHERE query_id IN ({_OF_RUN})) {within}
            AND NOT {withdrawn("first")} AND NOT {withdrawn("second")}
        ORDER BY first, second
    """
    for row in connection.execute(text(sql), {"run": run}, execution_options=STREAMED):
        yield PairRow(
            first=row.first,
            second=row.second,
            similarity=row.similarity,
            categories=(Category(row.one), Category(row.other)),
            representative=row.representative,
        )


def totals(connection: Connection) -> dict[str, int]:
    """Return how many queries, clusters of two or more, and duplicates that a representative stands for."""
    sql = f"""
        SELECT (SELECT count(*) FROM queries) AS queries, count(*) AS clusters,
            coalesce(sum(size) - count(*), 0)::bigint AS duplicates FROM ({_SIZES}) AS sizes
    """
    return dict(connection.execute(text(sql)).one()._mapping)


_SIZES = "SELECT cluster_id, count(*) AS size FROM cluster_members GROUP BY cluster_id HAVING count(*) > 1"


def list_clusters(connection: Connection, limit: int, members: int) -> list[dict[str, Any]]:
    """Return the largest clusters, each with its representative and the first of its other members, by likeness."""
    sql = f"""
        SELECT clusters.id, size, representative FROM ({_SIZES}) AS sizes JOIN clusters ON clusters.id = cluster_id
        ORDER BY size DESC, clusters.id LIMIT :limit
    """
    found = [dict(row._mapping) for row in connection.execute(text(sql), {"limit": limit})]
    for cluster in found:
        rows = [dict(row._mapping) for row in connection.execute(text(_MEMBERS), {"cluster": cluster["id"]})]
        cluster["representative"] = next(row for row in rows if row["query"] == cluster["representative"])
        others = [row for row in rows if row["query"] != cluster["representative"]["query"]]
        cluster["members"] = others[:members]
    return found


_MEMBERS = """
    SELECT queries.id AS query, encode(queries.hash, 'hex') AS hash, sources.name AS source, queries.category,
        encode(nearest.hash, 'hex') AS nearest, similarity, queries.messages
    FROM cluster_members JOIN queries ON queries.id = query_id JOIN sources ON sources.id = queries.source_id
    JOIN queries AS nearest ON nearest.id = nearest
    WHERE cluster_id = :cluster ORDER BY similarity DESC, queries.id
"""
