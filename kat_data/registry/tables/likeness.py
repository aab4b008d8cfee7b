"""Which queries are near-duplicates, and which mean nearly the same."""

from sqlalchemy import REAL, BigInteger, Column, Double, Index, LargeBinary, Table, Text, UniqueConstraint

from kat_data.registry.tables.columns import identity, metadata, need, ref, stamp

deduplication = Table(
    "deduplication",
    metadata,
    Column("scheme", Text, primary_key=True),  # what band keys and pairs were computed by; one row
    need("key", Text, "gen_random_uuid()"),  # names these bands in files that are made from them
    need("checked_through", BigInteger, "0"),  # every query up to this id has its bands stored and was compared
    need("settled_through", BigInteger, "0"),  # no query up to this id is displaced by a later one
    need("settled_cluster", BigInteger, "0"),  # no cluster up to this one gets another representative
)

bands = Table(
    "bands",
    metadata,
    need("key", BigInteger),
    need("query_id", BigInteger),  # no foreign key: its checks would double the cost of the registry's largest table
    Index(None, "key", "query_id"),
)

near_duplicates = Table(
    "near_duplicates",
    metadata,
    ref("first", "queries.id", primary_key=True),
    ref("second", "queries.id", primary_key=True),
    need("similarity", Double),
    Index(None, "second"),
)

clusters = Table(
    "clusters",
    metadata,
    identity(),
    ref("representative", "queries.id"),
    stamp("created_at"),
)

cluster_members = Table(
    "cluster_members",
    metadata,
    ref("query_id", "queries.id", primary_key=True),
    ref("cluster_id", "clusters.id"),
    Column("nearest", BigInteger),  # the member that is most like it; none where only the representative is left
    Column("similarity", Double),
    Index(None, "cluster_id"),
)

embedders = Table(
    "embedders",
    metadata,
    identity(),
    need("model", Text),
    need("revision", Text),
    UniqueConstraint("model", "revision"),
)

embeddings = Table(
    "embeddings",
    metadata,
    ref("embedder_id", "embedders.id", primary_key=True),
    ref("query_id", "queries.id", primary_key=True),
    Column("vector", LargeBinary),  # little-endian float16 of unit length; none where the endpoint refuses the text
    need("call", LargeBinary),  # the ledger key of the batch that brought it; empty where none did
)

semantic_clusters = Table(
    "semantic_clusters",
    metadata,
    ref("run_id", "runs.id", primary_key=True),
    ref("query_id", "queries.id", primary_key=True),
    need("embedder_id", BigInteger),
    need("representative_id", BigInteger),  # the query nearest to the cluster's centre
    need("similarity", REAL),  # cosine to the centre
)
