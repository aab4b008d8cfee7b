"""What may enter nothing that is made from now on: rows are only ever added."""

from sqlalchemy import BigInteger, Column, Index, Table, Text, UniqueConstraint

from kat_data.registry.tables.columns import identity, metadata, need, ref, stamp

withdrawals = Table(
    "withdrawals",
    metadata,
    identity(),
    need("kind", Text),  # licence, takedown, other
    need("reason", Text),
    need("decided_by", Text),
    ref("source_id", "sources.id", nullable=True),  # withdrawn whole, with what is imported of it later
    ref("undoes", "withdrawals.id", nullable=True),
    stamp("decided_at"),
    UniqueConstraint("undoes"),
)

# A query can be withdrawn for several reasons, and stays withdrawn until the last of them is undone.
withdrawn_queries = Table(
    "withdrawn_queries",
    metadata,
    # No foreign keys: the checks of one alone take up to half of the time of withdrawing a source.
    Column("query_id", BigInteger, primary_key=True, autoincrement=False),
    Column("withdrawal_id", BigInteger, primary_key=True, autoincrement=False),
    Index(None, "withdrawal_id"),
)
