"""Embeddings of queries, one for each query, model and revision, and the semantic clusters of runs.

A query whose text the endpoint refused has an embedding without a vector: it is not asked for again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.crowding import Crowding
from kat_data.registry.asked import Asked, user_texts
from kat_data.registry.session import STREAMED, Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One query's vector, little-endian float16 of unit length or none, and the ledger key of its call."""

    query: int
    vector: bytes | None
    call: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One query's place in the semantic clusters of a run, by ids; alone, a query represents itself."""

    query: int
    representative: int
    similarity: float


def embedder_id(connection: Connection, model: str, revision: str) -> int:
    """Return the id of an embedding model at a revision, noted where it is new."""
    values = {"model": model, "revision": revision}
    connection.execute(
        text("INSERT INTO embedders (model, revision) VALUES (:model, :revision) ON CONFLICT DO NOTHING"), values
    )
    sql = "SELECT id FROM embedders WHERE model = :model AND revision = :revision"
    return int(connection.execute(text(sql), values).scalar_one())


_OF_RUN = """
    FROM work_items JOIN queries ON queries.id = work_items.query_id
    LEFT JOIN embeddings ON embeddings.query_id = queries.id AND embedder_id = :embedder
    WHERE run_id = :run AND category = ANY(:categories)
"""


def next_unembedded(
    connection: Connection, run: int, embedder: int, categories: Sequence[str], *, after: int, limit: int
) -> list[Asked]:
    """Return the run's first queries behind id `after` that lack an embedding, by id."""
    sql = f"""
        SELECT queries.id, messages {_OF_RUN} AND embeddings.query_id IS NULL
            AND work_items.query_id > :after
        ORDER BY work_items.query_id LIMIT :limit
    """
    values = {"run": run, "embedder": embedder, "categories": list(categories), "after": after, "limit": limit}
    return [Asked(id=row.id, texts=user_texts(row.messages)) for row in connection.execute(text(sql), values)]


def store(connection: Connection, embedder: int, found: Sequence[Embedding]) -> None:
    """Store embeddings; one that another process stored meanwhile stands."""
    connection.execute(
        text("""
            INSERT INTO embeddings (embedder_id, query_id, vector, call)
            SELECT :embedder, * FROM unnest((:queries)::bigint[], (:vectors)::bytea[], (:calls)::bytea[])
            ON CONFLICT DO NOTHING
        """),
        {
            "embedder": embedder,
            "queries": [one.query for one in found],
            "vectors": [one.vector for one in found],
            "calls": [one.call for one in found],
        },
    )


def count_embedded(connection: Connection, run: int, embedder: int, categories: Sequence[str]) -> tuple[int, list[int]]:
    """Return how many of a run's queries have a vector, and the lengths of vectors in bytes: one, if all is well."""
    sql = text(f"SELECT count(*), array_agg(DISTINCT octet_length(vector)) {_OF_RUN} AND vector IS NOT NULL")
    values = {"run": run, "embedder": embedder, "categories": list(categories)}
    count, lengths = connection.execute(sql, values).one()
    return int(count), list(lengths or ())


def vectors_of_run(
    connection: Connection, run: int, embedder: int, categories: Sequence[str]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield id, hash and vector of the run's queries that have one, by hash: the same order on any machine."""
    rows = connection.execute(
        text(f"SELECT queries.id, hash, vector {_OF_RUN} AND vector IS NOT NULL ORDER BY hash"),
        {"run": run, "embedder": embedder, "categories": list(categories)},
        execution_options=STREAMED,
    )
    for row in rows:
        yield row.id, bytes(row.hash), bytes(row.vector)


def has_clusters(connection: Connection, run: int) -> bool:
    """Whether the semantic clusters of a run are known."""
    sql = text("SELECT EXISTS (SELECT FROM semantic_clusters WHERE run_id = :run)")
    return bool(connection.execute(sql, {"run": run}).scalar_one())


def newest_clustered(connection: Connection) -> int | None:
    """Return the newest run whose semantic clusters are known, none where there is no such run."""
    sql = text("""
        SELECT id FROM runs WHERE EXISTS (SELECT FROM semantic_clusters WHERE run_id = runs.id) ORDER BY id DESC LIMIT 1
    """)
    found: int | None = connection.execute(sql).scalar()
    return found


def store_clusters(registry: Registry, run: int, embedder: int, members: Iterator[Membership]) -> None:
    """Store the clusters of a run, found by the vectors of one embedder, all or nothing."""
    with registry.connection() as connection, connection.cursor() as cursor:
        columns = "run_id, query_id, embedder_id, representative_id, similarity"
        with cursor.copy(f"COPY semantic_clusters ({columns}) FROM STDIN") as copy:
            for one in members:
                copy.write_row((run, one.query, embedder, one.representative, one.similarity))
        cursor.execute("ANALYZE semantic_clusters")


# `random` is by hash and seed alone, so that the same queries are picked on any machine.
_ORDER = {
    "nearest": "(semantic_clusters.query_id = representative_id) DESC, similarity DESC, queries.hash",
    "random": "sha256(convert_to((:seed)::text, 'UTF8') || queries.hash)",
}


def crowding_of_run(
    connection: Connection, run: int, *, per_cluster: int, pick: str, seed: int
) -> dict[bytes, Crowding]:
    """Return, by query hash, the queries of a run beyond the first `per_cluster` of their cluster."""
    values = {"run": run, "per_cluster": per_cluster}
    asked = {
        row.id: _first_text(row.messages)
        for row in connection.execute(text(_CROWDED), values, execution_options=STREAMED)
    }
    rows = connection.execute(
        text(f"""
            SELECT * FROM (
                SELECT queries.hash, representative_id, similarity,
                    count(*) OVER (PARTITION BY representative_id) AS size,
                    row_number() OVER (PARTITION BY representative_id ORDER BY {_ORDER[pick]}) AS rank
                FROM semantic_clusters JOIN queries ON queries.id = semantic_clusters.query_id WHERE run_id = :run
            ) AS ranked WHERE rank > :per_cluster
        """),
        values | ({"seed": seed} if pick == "random" else {}),
        execution_options=STREAMED,
    )
    return {
        bytes(row.hash): Crowding(
            representative=asked[row.representative_id], size=row.size, rank=row.rank, similarity=row.similarity
        )
        for row in rows
    }


_CROWDED = """
    SELECT id, messages FROM queries WHERE id IN (
        SELECT representative_id FROM semantic_clusters WHERE run_id = :run
        GROUP BY representative_id HAVING count(*) > :per_cluster
    )
"""


def largest_clusters(connection: Connection, run: int, limit: int, members: int) -> list[dict[str, Any]]:
    """Return the largest semantic clusters of a run, each with its representative and those nearest to its centre."""
    rows = connection.execute(
        text("""
            WITH largest AS (
                SELECT representative_id, count(*) AS size, min(similarity) AS least FROM semantic_clusters
                WHERE run_id = :run GROUP BY representative_id HAVING count(*) > 1
                ORDER BY size DESC, representative_id LIMIT :limit
            ), ranked AS (
                SELECT semantic_clusters.*, size, least, row_number() OVER (
                    PARTITION BY representative_id
                    ORDER BY (query_id = representative_id) DESC, similarity DESC, query_id) AS rank
                FROM semantic_clusters JOIN largest USING (representative_id) WHERE run_id = :run
            )
            SELECT representative_id, size, least, rank, similarity, encode(hash, 'hex') AS query, category,
                sources.name AS source, messages
            FROM ranked JOIN queries ON queries.id = query_id JOIN sources ON sources.id = source_id
            WHERE rank <= :members + 1 ORDER BY size DESC, representative_id, rank
        """),
        {"run": run, "limit": limit, "members": members},
    )
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        mine = found.setdefault(row.representative_id, {"size": row.size, "least": row.least, "members": []})
        names = ("query", "source", "category", "similarity")
        mine["members"].append({name: getattr(row, name) for name in names} | {"prompt": _first_text(row.messages)})
    return list(found.values())


def cluster_totals(connection: Connection, run: int) -> dict[str, int]:
    """Return how many queries of a run were clustered, and into how many clusters of two or more."""
    row = connection.execute(
        text("""
            SELECT coalesce(sum(size), 0)::bigint AS queries, count(*) FILTER (WHERE size > 1) AS clusters,
                coalesce(sum(size) FILTER (WHERE size > 1), 0)::bigint AS within
            FROM (SELECT count(*) AS size FROM semantic_clusters WHERE run_id = :run GROUP BY representative_id) AS each
        """),
        {"run": run},
    ).one()
    return dict(row._mapping)


def _first_text(messages: Sequence[dict[str, Any]]) -> str:
    return next(iter(user_texts(messages)), "")
