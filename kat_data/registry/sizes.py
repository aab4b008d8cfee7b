"""How large the registry's tables are."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

SIZES = """
    SELECT relname AS "table", greatest(reltuples, 0)::bigint AS rows,
        pg_relation_size(oid) AS heap, pg_indexes_size(oid) AS indexes,
        pg_total_relation_size(oid) - pg_relation_size(oid) - pg_indexes_size(oid) AS long_values,
        pg_total_relation_size(oid) AS total
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    ORDER BY total DESC, relname
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """Bytes of one table; `rows` is what Postgres last estimated, `long_values` are stored beside the rows."""

    table: str
    rows: int
    heap: int
    indexes: int
    long_values: int
    total: int


def table_sizes(connection: Connection) -> list[TableSize]:
    """Return the sizes of all tables, the largest first."""
    return [TableSize(**row._mapping) for row in connection.execute(text(SIZES))]
