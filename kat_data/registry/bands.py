"""The bands of every query that was compared, as Postgres keeps them: the truth that any faster file is made from.

Keys travel in COPY's binary form, which numpy reads and writes without a loop; only `BINARY_START` and `BINARY_END`
frame it here. A statement of many probes is one descent of the index for each, in the order of the keys.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

BINARY_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
BINARY_END = b"\xff\xff"

_PROBES = "CREATE TEMPORARY TABLE IF NOT EXISTS probes (row integer, key bigint) ON COMMIT DELETE ROWS"
_FOUND = """
    SELECT DISTINCT row, found.query_id FROM probes CROSS JOIN LATERAL (
        SELECT query_id FROM bands WHERE bands.key = probes.key ORDER BY query_id LIMIT %(cap)s
    ) AS found ORDER BY 1, 2
"""


def candidates(connection: "psycopg.Connection[Any]", probes: bytes, cap: int) -> list[tuple[int, int]]:
    """Return (row, query) once for each earlier query under a key of the row, at most `cap` a key: the oldest.

    `probes` are tuples of (row, key) in COPY's binary form, best in order of the keys.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PROBES)
        cursor.execute("TRUNCATE probes")
        with cursor.copy("COPY probes FROM STDIN (FORMAT binary)") as copy:
            _write(copy, probes)
        return cursor.execute(_FOUND, {"cap": cap}).fetchall()


def put(connection: "psycopg.Connection[Any]", entries: bytes) -> None:
    """Store tuples of (key, query) in COPY's binary form."""
    with connection.cursor() as cursor, cursor.copy("COPY bands (key, query_id) FROM STDIN (FORMAT binary)") as copy:
        _write(copy, entries)


def stored(connection: "psycopg.Connection[Any]", after: int) -> Iterator[bytes]:
    """Yield the tuples (query, key) of every query with an id above `after`, in COPY's binary form, in blocks."""
    sql = f"COPY (SELECT query_id, key FROM bands WHERE query_id > {after:d}) TO STDOUT (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        yield from (bytes(block) for block in copy)


def _write(copy: psycopg.Copy, tuples: bytes) -> None:
    copy.write(BINARY_START)
    copy.write(tuples)
    copy.write(BINARY_END)
