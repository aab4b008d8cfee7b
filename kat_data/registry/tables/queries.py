"""What was imported, and from where."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSON

from kat_data.registry.tables.columns import identity, metadata, moment, need, ref, stamp

sources = Table(
    "sources",
    metadata,
    identity(),
    need("name", Text),
    need("licence", Text),
    stamp("created_at"),
    UniqueConstraint("name"),
)

imports = Table(
    "imports",
    metadata,
    identity(),
    ref("source_id", "sources.id"),
    need("fingerprint", LargeBinary),  # sha256 of the file's bytes, preset, options and source
    need("file_name", Text),
    need("preset", Text),
    need("rows_done", BigInteger, "0"),
    need("imported", BigInteger, "0"),
    need("duplicates", BigInteger, "0"),
    need("identical", BigInteger, "0"),
    need("conflicts", BigInteger, "0"),
    need("withdrawn", BigInteger, "0"),  # queries that it brought again, or brought to a source that is withdrawn
    need("bad", BigInteger, "0"),
    need("bad_codes", JSON, "'{}'"),  # how many of each code
    need("bad_lines", JSON, "'[]'"),
    stamp("started_at"),
    moment("finished_at"),
    UniqueConstraint("fingerprint"),
)

queries = Table(
    "queries",
    metadata,
    identity(),
    need("hash", LargeBinary),
    need("raw_fingerprint", BigInteger),  # of the messages as they came: tells byte-identical from folded duplicates
    need("category", Text),
    need("messages", JSON),  # normalised
    need("tools", JSON, "'[]'"),
    Column("reference", Text),
    Column("verifier", JSON),
    ref("source_id", "sources.id"),
    need("line", BigInteger, "0"),
    Column("document", Text),  # of the source, that it was made of
    stamp("imported_at"),
    UniqueConstraint("hash"),
    Index(None, "source_id"),
)

query_conflicts = Table(
    "query_conflicts",
    metadata,
    identity(),
    ref("query_id", "queries.id"),
    ref("source_id", "sources.id"),
    need("line", BigInteger),
    Column("reference", Text),
    UniqueConstraint("query_id", "source_id", "line"),
)
