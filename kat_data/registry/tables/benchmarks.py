"""What training data must not hold, and which queries hold it."""

from sqlalchemy import BigInteger, Double, Index, Integer, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY

from kat_data.registry.tables.columns import identity, metadata, need, ref, stamp

benchmarks = Table(
    "benchmarks",
    metadata,
    identity(),
    need("name", Text),
    need("method", Text, "''"),  # how its hits were found: the matcher's version and options
    need("checked_through", BigInteger, "0"),  # every query up to this id was checked against all of its items
    stamp("created_at"),
    UniqueConstraint("name"),
)

benchmark_items = Table(
    "benchmark_items",
    metadata,
    identity(),
    ref("benchmark_id", "benchmarks.id"),
    need("hash", LargeBinary),  # sha256 of kind and text
    need("line", BigInteger),
    need("kind", Text),  # prose or code
    need("text", Text),
    UniqueConstraint("benchmark_id", "hash"),
)

contamination = Table(
    "contamination",
    metadata,
    ref("query_id", "queries.id", primary_key=True),
    ref("item_id", "benchmark_items.id", primary_key=True),
    need("kind", Text),  # exact, ngram, short
    need("query_span", ARRAY(Integer)),
    need("item_span", ARRAY(Integer)),
    need("share", Double),
    stamp("found_at"),
    Index(None, "item_id"),
)

allowances = Table(
    "allowances",
    metadata,
    identity(),
    ref("query_id", "queries.id"),
    ref("benchmark_id", "benchmarks.id", nullable=True),  # none: whatever the benchmark
    need("reason", Text),
    need("decided_by", Text),
    stamp("decided_at"),
    UniqueConstraint("query_id", "benchmark_id", postgresql_nulls_not_distinct=True),
)
