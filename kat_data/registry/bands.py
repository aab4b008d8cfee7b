"""The bands of every query that was compared, as Postgres keeps them: the truth that any faster file is made from.

Keys come in COPY's binary form, which numpy writes without a loop. A statement of many probes is one descent of the
index for each, in the order of the keys.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

_INDEX = "ix_bands_key_query_id"
_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"

_PAGES = "SELECT pg_relation_size('bands') / current_setting('block_size')::bigint"
_PAGES_AT_ONCE = 2048  # some 300,000 entries
# A row for each entry would cost the client ten times as much as the work itself.
_STORED = """
    SELECT string_agg(int8send(query_id) || int8send(key), ''::bytea) FROM bands
    WHERE ctid >= %(first)s::tid AND ctid < %(stop)s::tid AND query_id > %(after)s
"""
_PROBES = "CREATE TEMPORARY TABLE IF NOT EXISTS probes (row integer, key bigint) ON COMMIT DELETE ROWS"
_FOUND = """
    SELECT string_agg(int4send(row) || int8send(found.query_id), ''::bytea) FROM probes CROSS JOIN LATERAL (
        SELECT query_id FROM bands WHERE bands.key = probes.key ORDER BY query_id LIMIT %(cap)s
    ) AS found
"""


def candidates(connection: "psycopg.Connection[Any]", probes: bytes, cap: int) -> bytes:
    """Return row and query for each earlier query under a key of the row, at most `cap` a key: the oldest.

    `probes` are tuples of (row, key) in COPY's binary form, best in order of the keys. The answer has 4 big-endian
    bytes for the row and 8 for the query; a query that shares several keys with a row comes several times.
    """
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_PROBES)
        cursor.execute("TRUNCATE probes")
        with cursor.copy("COPY probes FROM STDIN (FORMAT binary)") as copy:
            _write(copy, probes)
        [found] = cursor.execute(_FOUND, {"cap": cap}).fetchone() or [None]
    return bytes(found or b"")


def drop_index(connection: "psycopg.Connection[Any]") -> None:
    """Have the first bands of many queries stored without the index, which costs more than half of it.

    Whoever looks bands up, and whoever ends a pass, calls `ensure_index` under the same lock.
    """
    connection.execute(f"DROP INDEX IF EXISTS {_INDEX}")


def ensure_index(connection: "psycopg.Connection[Any]") -> None:
    """Build the index where a pass dropped it, also one that was killed."""
    [there] = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [_INDEX]).fetchone() or [False]
    if not there:
        connection.execute(f"CREATE INDEX {_INDEX} ON bands (key, query_id)")


def put(connection: "psycopg.Connection[Any]", entries: bytes) -> None:
    """Store tuples of (key, query) in COPY's binary form."""
    with connection.cursor() as cursor, cursor.copy("COPY bands (key, query_id) FROM STDIN (FORMAT binary)") as copy:
        _write(copy, entries)


def stored(connection: "psycopg.Connection[Any]", after: int) -> Iterator[bytes]:
    """Yield what is stored of every query with an id above `after`: query and key, each as 8 big-endian bytes."""
    with connection.cursor(binary=True) as cursor:
        [size] = cursor.execute(_PAGES).fetchone() or [0]
        for page in range(0, size, _PAGES_AT_ONCE):
            places = {"first": f"({page},0)", "stop": f"({page + _PAGES_AT_ONCE},0)", "after": after}
            [block] = cursor.execute(_STORED, places).fetchone() or [None]
            if block:
                yield bytes(block)


def _write(copy: psycopg.Copy, tuples: bytes) -> None:
    copy.write(_START)
    copy.write(tuples)
    copy.write(_END)
