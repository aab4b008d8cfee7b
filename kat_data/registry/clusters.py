"""Near-duplicates among the queries: which pairs, which clusters, and how far the registry was compared."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from kat_data.domain.codec import from_python
from kat_data.domain.duplicate import Joining, Standing
from kat_data.domain.query import Query
from kat_data.registry.session import Registry

_LOCK = 0x6B61745F646564  # "kat_ded": one batch at a time, so that of two queries alike one sees the other

Pair = tuple[int, int, float]
"""Two query ids, the smaller one first, and their similarity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How far the registry was compared: every query through `checked`.

    Earlier passes settled the queries through `settled` and the clusters through `settled_cluster`: their choices
    stay. `key` names this registry's bands, for files that are made from them.
    """

    key: str
    checked: int
    settled: int
    settled_cluster: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A query with its row's id."""

    id: int
    messages: list[dict[str, Any]]


def open_connection(registry: Registry) -> "psycopg.Connection[Any]":
    """Return a connection for one pass over the registry, which the caller closes."""
    connection = registry.connection()
    set_json_loads(orjson.loads, connection)
    return connection


def lock(connection: "psycopg.Connection[Any]") -> None:
    """Keep others from comparing until this transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def marks(connection: "psycopg.Connection[Any]", scheme: str) -> Marks:
    """Return how far the registry was compared by `scheme`; what another scheme found is forgotten first.

    A representative stays one all the same: samples of it may have been paid for. Called with the lock held.
    """
    columns = "scheme, key, checked_through, settled_through, settled_cluster"
    row = connection.execute(f"SELECT {columns} FROM deduplication").fetchone()
    if row is None or row[0] != scheme:
        for statement in _FORGET if row else ():
            connection.execute(statement)
        row = connection.execute(
            "INSERT INTO deduplication (scheme, settled_through, settled_cluster) VALUES (%s, %s, %s)"
            f" RETURNING {columns}",
            [scheme, *(row[3:] if row else (0, 0))],
        ).fetchone()
    assert row is not None
    return Marks(key=row[1], checked=row[2], settled=row[3], settled_cluster=row[4])


_FORGET = (
    "DELETE FROM deduplication",
    "TRUNCATE bands, near_duplicates",
    "DELETE FROM cluster_members USING clusters WHERE cluster_id = clusters.id AND representative <> query_id",
    "UPDATE cluster_members SET nearest = NULL, similarity = NULL",
)


def note_checked(connection: "psycopg.Connection[Any]", through: int) -> None:
    """Store that every query through this id was compared."""
    connection.execute("UPDATE deduplication SET checked_through = %s", [through])


def settle(connection: "psycopg.Connection[Any]") -> None:
    """Store that nothing that was compared so far is displaced by what is compared later."""
    connection.execute(
        "UPDATE deduplication SET settled_through = greatest(settled_through, checked_through),"
        " settled_cluster = coalesce((SELECT max(id) FROM clusters), 0)"
    )


def count_between(connection: "psycopg.Connection[Any]", after: int, through: int) -> int:
    """Return how many queries have an id above `after`, up to `through`."""
    return _number(connection, "SELECT count(*) FROM queries WHERE id > %s AND id <= %s", after, through)


def next_queries(
    connection: "psycopg.Connection[Any]", after: int, through: int, limit: int, characters: int
) -> list[Stored]:
    """Return the next queries by id: at most `limit`, and no more than `characters` of JSON but for the last."""
    sql = """
        SELECT id, messages FROM (
            SELECT id, messages, sum(length(messages::text)) OVER (ORDER BY id) - length(messages::text) AS before
            FROM (SELECT id, messages FROM queries WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) AS next
        ) AS measured WHERE before < %s ORDER BY id
    """
    rows = connection.execute(sql, [after, through, limit, characters])
    return [Stored(id=id_, messages=messages) for id_, messages in rows]


def messages_of(connection: "psycopg.Connection[Any]", ids: Collection[int]) -> list[Stored]:
    """Return the conversations of these queries."""
    rows = connection.execute("SELECT id, messages FROM queries WHERE id = ANY(%s)", [list(ids)])
    return [Stored(id=id_, messages=messages) for id_, messages in rows]


def queries_of(connection: "psycopg.Connection[Any]", ids: Collection[int]) -> dict[int, Query]:
    """Return these queries by their ids."""
    sql = """
        SELECT queries.id, messages, category, name AS source, licence, tools, reference, verifier
        FROM queries JOIN sources ON sources.id = source_id WHERE queries.id = ANY(%s)
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(sql, [list(ids)]).fetchall()
    return {row.pop("id"): from_python(Query, row) for row in rows}


def standings(connection: "psycopg.Connection[Any]", ids: Collection[int]) -> dict[int, Standing]:
    """Return where those of the queries stand that are in a cluster."""
    sql = """
        SELECT query_id, cluster_id, representative FROM cluster_members JOIN clusters ON clusters.id = cluster_id
        WHERE query_id = ANY(%s)
    """
    rows = connection.execute(sql, [list(ids)])
    return {query: Standing(cluster=cluster, representative=kept) for query, cluster, kept in rows}


def store(connection: "psycopg.Connection[Any]", pairs: Sequence[Pair], joined: Iterable[Joining]) -> None:
    """Store new pairs, and what they make of the clusters."""
    first, second, similarity = ([pair[place] for pair in pairs] for place in range(3))
    connection.execute(
        "INSERT INTO near_duplicates SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::float8[])"
        " ON CONFLICT DO NOTHING",
        [first, second, similarity],
    )
    joined = list(joined)
    homes = _homes(connection, joined)
    _merge(connection, joined)
    _place(connection, pairs, homes)


def _homes(connection: "psycopg.Connection[Any]", joined: Sequence[Joining]) -> dict[int, int]:
    """Return the cluster of each member, made where there was none."""
    new = {one.representative: one for one in joined if not one.clusters}
    made = connection.execute(
        "INSERT INTO clusters (representative) SELECT unnest(%s::bigint[]) RETURNING id, representative", [sorted(new)]
    )
    homes = {member: cluster for cluster, kept in made for member in new[kept].members}
    return homes | {member: one.clusters[0] for one in joined if one.clusters for member in one.members}


def _merge(connection: "psycopg.Connection[Any]", joined: Sequence[Joining]) -> None:
    known = [one for one in joined if one.clusters]
    connection.execute(
        "UPDATE clusters SET representative = new.kept FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, kept)"
        " WHERE clusters.id = new.id AND representative <> new.kept",
        [[one.clusters[0] for one in known], [one.representative for one in known]],
    )
    gone = [(old, one.clusters[0]) for one in known for old in one.clusters[1:]]
    if gone:
        connection.execute(
            "UPDATE cluster_members SET cluster_id = new.home FROM unnest(%s::bigint[], %s::bigint[]) AS new(old, home)"
            " WHERE cluster_id = new.old",
            [[old for old, _ in gone], [home for _, home in gone]],
        )
        connection.execute("DELETE FROM clusters WHERE id = ANY(%s)", [[old for old, _ in gone]])


def _place(connection: "psycopg.Connection[Any]", pairs: Iterable[Pair], homes: Mapping[int, int]) -> None:
    """Store every member with what is most like it; of two that are equally like it the older one counts."""
    nearest: dict[int, tuple[float, int]] = {}
    for first, second, similarity in pairs:
        for one, other in ((first, second), (second, first)):
            nearest[one] = max(nearest.get(one, (0.0, 0)), (similarity, -other))
    ids = sorted(nearest)
    connection.execute(
        """
        INSERT INTO cluster_members AS old (query_id, cluster_id, nearest, similarity)
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::float8[])
        ON CONFLICT (query_id) DO UPDATE SET cluster_id = excluded.cluster_id, nearest = excluded.nearest,
            similarity = excluded.similarity
        WHERE (excluded.similarity, -excluded.nearest) > (coalesce(old.similarity, 0), -coalesce(old.nearest, 0))
        """,
        [ids, [homes[id_] for id_ in ids], [-nearest[id_][1] for id_ in ids], [nearest[id_][0] for id_ in ids]],
    )


def analyse(connection: "psycopg.Connection[Any]") -> None:
    """Tell the planner what was loaded: plans made for empty tables take minutes on full ones."""
    connection.execute("ANALYZE bands, near_duplicates, clusters, cluster_members")


def _number(connection: "psycopg.Connection[Any]", sql: str, *values: int) -> int:
    row = connection.execute(sql, values).fetchone()
    return int(row[0]) if row else 0
