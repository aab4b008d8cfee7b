"""Benchmarks: their items, the queries that come from them, and what people allowed all the same."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from kat_data.domain.contamination import Contamination, ItemKind, MatchKind
from kat_data.errors import InputError, NotFoundError
from kat_data.hashing import content_hash
from kat_data.registry.asked import Asked, user_texts
from kat_data.registry.hash_prefix import BETWEEN, hash_range
from kat_data.registry.session import STREAMED, Registry

_AT_ONCE = 5000
_LEAST_DIGITS = 6
_LOCK = 0x6B61745F646563  # "kat_dec": one check at a time, so that no query and no item is missed between two


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a benchmark, with its row's id."""

    id: int
    benchmark: str
    kind: ItemKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A hit by the ids of query and item."""

    query: int
    item: int
    kind: MatchKind
    query_span: tuple[int, int]
    item_span: tuple[int, int]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an import of items did."""

    added: int
    duplicates: int


def digests(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """Return a hash of each benchmark's items and of the hits that were allowed; of all benchmarks where none is named.

    Equal digests find the same queries contaminated.
    """
    rows = connection.execute(text(_DIGESTS), {"names": list(names)})
    return {row.name: content_hash([row.items, row.allowed]).hex() for row in rows}


_DIGESTS = """
    SELECT name,
        (SELECT encode(sha256(string_agg(hash, ''::bytea ORDER BY hash)), 'hex') FROM benchmark_items
         WHERE benchmark_id = benchmarks.id) AS items,
        (SELECT encode(sha256(string_agg(DISTINCT queries.hash, ''::bytea ORDER BY queries.hash)), 'hex')
         FROM allowances JOIN queries ON queries.id = query_id
         WHERE benchmark_id = benchmarks.id OR benchmark_id IS NULL) AS allowed
    FROM benchmarks WHERE cardinality((:names)::text[]) = 0 OR name = ANY(:names) ORDER BY name
"""


def add_items(registry: Registry, name: str, items: Iterable[tuple[int, ItemKind, str]]) -> Added:
    """Add items (line, kind, text) to a benchmark, which is made where it is new.

    The same item twice is counted and kept once. Every query has to be checked anew where an item was added.
    """
    items = iter(items)
    added = seen = 0
    with registry.engine.begin() as connection:
        lock(connection)
        sql = "INSERT INTO benchmarks (name) VALUES (:name) ON CONFLICT (name) DO UPDATE SET name = :name RETURNING id"
        benchmark = connection.execute(text(sql), {"name": name}).scalar_one()
        while chunk := list(islice(items, _AT_ONCE)):
            seen += len(chunk)
            added += connection.execute(text(_ADD), {"benchmark": benchmark, **_columns(chunk)}).rowcount
        if added:
            connection.execute(text("UPDATE benchmarks SET checked_through = 0 WHERE id = :id"), {"id": benchmark})
    return Added(added=added, duplicates=seen - added)


_ADD = """
    INSERT INTO benchmark_items (benchmark_id, line, kind, text, hash)
    SELECT :benchmark, * FROM unnest((:lines)::bigint[], (:kinds)::text[], (:texts)::text[], (:hashes)::bytea[])
    ON CONFLICT DO NOTHING
"""


def _columns(chunk: Sequence[tuple[int, ItemKind, str]]) -> dict[str, list[Any]]:
    return {
        "lines": [line for line, _, _ in chunk],
        "kinds": [kind.value for _, kind, _ in chunk],
        "texts": [item for _, _, item in chunk],
        "hashes": [content_hash([kind, item]) for _, kind, item in chunk],
    }


def names(connection: Connection) -> list[str]:
    """Return the names of all benchmarks."""
    return list(connection.execute(text("SELECT name FROM benchmarks ORDER BY name")).scalars())


def list_benchmarks(connection: Connection) -> list[dict[str, Any]]:
    """Return every benchmark with its items, the queries that hold one, and how many queries were not checked yet.

    `allowed` counts those of the queries with hits whose hits were overruled.
    """
    hits = "FROM contamination JOIN benchmark_items ON item_id = benchmark_items.id WHERE benchmark_id = benchmarks.id"
    sql = f"""
        SELECT name, created_at,
            (SELECT count(*) FROM benchmark_items WHERE benchmark_id = benchmarks.id) AS items,
            (SELECT count(DISTINCT query_id) {hits}) AS hits,
            (SELECT count(DISTINCT query_id) {hits} AND EXISTS (SELECT {_ALLOWANCES})) AS allowed,
            (SELECT count(*) FROM queries WHERE id > checked_through) AS unchecked
        FROM benchmarks ORDER BY name
    """
    return [dict(row._mapping) for row in connection.execute(text(sql))]


def remove(connection: Connection, name: str) -> None:
    """Remove a benchmark with its items and hits; raises `NotFoundError` where there is none of that name."""
    lock(connection)
    benchmark = _id_of(connection, name)
    for table in ("allowances", "benchmark_items"):  # hits go with their items
        connection.execute(text(f"DELETE FROM {table} WHERE benchmark_id = :id"), {"id": benchmark})
    connection.execute(text("DELETE FROM benchmarks WHERE id = :id"), {"id": benchmark})


def items(connection: Connection) -> Iterator[Item]:
    """Yield every item of every benchmark."""
    sql = """
        SELECT benchmark_items.id, name, kind, text FROM benchmark_items JOIN benchmarks ON benchmarks.id = benchmark_id
        ORDER BY benchmark_items.id
    """
    for row in connection.execute(text(sql), execution_options=STREAMED):
        yield Item(id=row.id, benchmark=row.name, kind=ItemKind(row.kind), text=row.text)


def edition(connection: Connection) -> tuple[int, int]:
    """Return a mark that changes whenever items are added or removed."""
    count, newest = connection.execute(text("SELECT count(*), coalesce(max(id), 0) FROM benchmark_items")).one()
    return int(count), int(newest)


def lock(connection: Connection) -> None:
    """Keep others from checking, and items as they are, until this transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def forget_checks(connection: Connection, method: str) -> None:
    """Have every query checked anew by `method` where another one, or none, found the hits that are stored."""
    sql = "UPDATE benchmarks SET method = :method, checked_through = 0 WHERE method <> :method RETURNING id"
    stale = list(connection.execute(text(sql), {"method": method}).scalars())
    sql = "DELETE FROM contamination USING benchmark_items WHERE item_id = id AND benchmark_id = ANY(:stale)"
    connection.execute(text(sql), {"stale": stale})


def count_unchecked(connection: Connection, through: int) -> int:
    """Return how many queries with an id up to `through` have to be checked."""
    return int(connection.execute(text(f"SELECT count(*) {_UNCHECKED}"), {"through": through}).scalar_one())


_UNCHECKED = """
    FROM queries WHERE id <= :through
    AND id > (SELECT coalesce(min(checked_through), 9223372036854775807) FROM benchmarks)
"""


def next_unchecked(connection: Connection, through: int, limit: int, characters: int) -> list[Asked]:
    """Return the next queries with an id up to `through` that have to be checked, by id.

    At most `limit`, and no more than `characters` of JSON but for the last.
    """
    sql = f"""
        SELECT id, messages FROM (
            SELECT id, messages, sum(length(messages::text)) OVER (ORDER BY id) - length(messages::text) AS before
            FROM (SELECT id, messages {_UNCHECKED} ORDER BY id LIMIT :limit) AS next
        ) AS measured WHERE before < :characters ORDER BY id
    """
    rows = connection.execute(text(sql), {"through": through, "limit": limit, "characters": characters})
    return [Asked(id=row.id, texts=user_texts(row.messages)) for row in rows]


def note(connection: Connection, found: Sequence[Found], through: int) -> None:
    """Store hits, and that every query up to `through` is checked."""
    if found:
        connection.execute(
            text("""
                INSERT INTO contamination (query_id, item_id, kind, query_span, item_span, share)
                VALUES (:query, :item, :kind, :query_span, :item_span, :share) ON CONFLICT DO NOTHING
            """),
            [
                {
                    "query": hit.query,
                    "item": hit.item,
                    "kind": hit.kind.value,
                    "query_span": list(hit.query_span),
                    "item_span": list(hit.item_span),
                    "share": hit.share,
                }
                for hit in found
            ],
        )
    sql = "UPDATE benchmarks SET checked_through = greatest(checked_through, :through)"
    connection.execute(text(sql), {"through": through})


_ALLOWANCES = """
    FROM allowances WHERE allowances.query_id = contamination.query_id
    AND (allowances.benchmark_id IS NULL OR allowances.benchmark_id = benchmarks.id)
"""
_COLUMNS = """
    queries.id, queries.hash, benchmarks.name AS benchmark, benchmark_items.text AS item, benchmark_items.line,
    contamination.kind, query_span, item_span, share
"""
_JOINED = """
    FROM contamination
    JOIN queries ON queries.id = contamination.query_id
    JOIN benchmark_items ON benchmark_items.id = item_id
    JOIN benchmarks ON benchmarks.id = benchmark_items.benchmark_id
"""
_HITS = f"SELECT {_COLUMNS} {_JOINED} WHERE NOT EXISTS (SELECT {_ALLOWANCES})"
_ALLOWED_HITS = f"""
    SELECT {_COLUMNS}, reason, decided_by AS by {_JOINED}
    JOIN LATERAL (SELECT reason, decided_by {_ALLOWANCES} ORDER BY decided_at DESC LIMIT 1) AS allowance ON true
"""


def hits_of_run(connection: Connection, run: int) -> dict[bytes, tuple[Contamination, ...]]:
    """Return the hits of a run's queries by query hash, but for those that were allowed."""
    within = "queries.id IN (SELECT query_id FROM work_items WHERE run_id = :run)"
    sql = f"{_HITS} AND {within} ORDER BY queries.id, share DESC"
    found: dict[bytes, tuple[Contamination, ...]] = {}
    for row in connection.execute(text(sql), {"run": run}, execution_options=STREAMED):
        found[bytes(row.hash)] = (*found.get(bytes(row.hash), ()), _hit(row))
    return found


def hits_of_query(connection: Connection, query: int) -> tuple[Contamination, ...]:
    """Return the hits of one query that nobody allowed, the surest first."""
    rows = connection.execute(text(f"{_HITS} AND queries.id = :query ORDER BY share DESC"), {"query": query})
    return tuple(_hit(row) for row in rows)


def list_hits(
    connection: Connection, benchmark: str | None, limit: int, *, allowed: bool = False
) -> list[dict[str, Any]]:
    """Return single hits that nobody allowed, by query: its hash, the item, and both spans with their texts' places.

    Or those that were `allowed`, with the reason, and by whom.
    """
    told = ", reason, hits.by" if allowed else ""
    sql = f"""
        SELECT encode(hits.hash, 'hex') AS query, sources.name AS source, benchmark, hits.line, kind, share, query_span,
            item_span, item{told}
        FROM ({_ALLOWED_HITS if allowed else _HITS}) AS hits JOIN queries USING (id)
        JOIN sources ON sources.id = source_id
        WHERE benchmark = coalesce(:benchmark, benchmark) ORDER BY benchmark, hits.line, query LIMIT :limit
    """
    rows = connection.execute(text(sql), {"benchmark": benchmark, "limit": limit})
    return [dict(row._mapping) for row in rows]


def _hit(row: Any) -> Contamination:
    return Contamination(
        benchmark=row.benchmark,
        item=sys.intern(row.item),  # many queries hold one item
        line=row.line,
        kind=MatchKind(row.kind),
        query_span=tuple(row.query_span),
        item_span=tuple(row.item_span),
        share=row.share,
    )


def report(connection: Connection) -> list[dict[str, Any]]:
    """Return, by source and benchmark, how many queries hold an item, and by which kind of match."""
    sql = f"""
        WITH hits AS ({_HITS}), best AS (
            SELECT DISTINCT ON (id, benchmark) id, benchmark, kind FROM hits
            ORDER BY id, benchmark, array_position(ARRAY['exact', 'ngram', 'short'], kind)
        )
        SELECT sources.name AS source, benchmark, count(*) AS rows,
            count(*) FILTER (WHERE kind = 'exact') AS exact, count(*) FILTER (WHERE kind = 'ngram') AS ngram,
            count(*) FILTER (WHERE kind = 'short') AS short
        FROM best JOIN queries USING (id) JOIN sources ON sources.id = source_id
        GROUP BY 1, 2 ORDER BY 1, 2
    """
    return [dict(row._mapping) for row in connection.execute(text(sql))]


def allow(connection: Connection, query: str, *, benchmark: str | None, reason: str, by: str) -> int:
    """Overrule the hits of a query, named by its hash or the start of it; return how many hits that clears.

    The newest word on the same query and benchmark stays. Raises `NotFoundError`, or `InputError` where several queries
    begin so.
    """
    ident = _query(connection, query)
    before = len(hits_of_query(connection, ident))
    values = {
        "query": ident,
        "benchmark": _id_of(connection, benchmark) if benchmark else None,
        "reason": reason,
        "by": by,
    }
    connection.execute(text(_ALLOW), values)
    return before - len(hits_of_query(connection, ident))


_ALLOW = """
    INSERT INTO allowances (query_id, benchmark_id, reason, decided_by) VALUES (:query, :benchmark, :reason, :by)
    ON CONFLICT (query_id, benchmark_id) DO UPDATE
    SET reason = excluded.reason, decided_by = excluded.decided_by, decided_at = now()
"""


def _query(connection: Connection, start: str) -> int:
    within = hash_range(start) if len(start) >= _LEAST_DIGITS else None
    if within is None:
        raise InputError(f"{start} is no query: give at least six digits of its hash, as the report prints it")
    found = connection.execute(text(f"SELECT id FROM queries WHERE hash {BETWEEN} LIMIT 2"), within).scalars().all()
    if not found:
        raise NotFoundError(f"no query has a hash that begins with {start}")
    if len(found) > 1:
        raise InputError(f"several queries have a hash that begins with {start}: give more digits")
    return int(found[0])


def _id_of(connection: Connection, name: str) -> int:
    found = connection.execute(text("SELECT id FROM benchmarks WHERE name = :name"), {"name": name}).scalar()
    if found is None:
        raise NotFoundError(f"there is no benchmark {name}: `kat benchmarks list` names them")
    return int(found)
