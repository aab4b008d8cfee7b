"""What endpoints take, how it is shared out among workers, and what was sent in the last minute."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, Table, Text, UniqueConstraint

from kat_data.registry.tables.columns import identity, metadata, moment, need, ref

endpoint_limits = Table(
    "endpoint_limits",
    metadata,
    identity(),
    need("place", Text),  # what the endpoint is to its provider: URL and name of the key's variable
    Column("concurrency", Integer),  # while it is throttled
    need("generation", BigInteger, "0"),  # how often it was
    need("good", BigInteger, "0"),  # calls since the limit changed last
    moment("paused_until"),
    UniqueConstraint("place"),
)

endpoint_slices = Table(
    "endpoint_slices",
    metadata,
    ref("endpoint_id", "endpoint_limits.id", primary_key=True),
    Column("worker_id", BigInteger, primary_key=True, autoincrement=False),
    Column("lease", Integer, primary_key=True, autoincrement=False),  # the worker's own number for it
    need("ceiling", Integer),  # what the worker's recipe allows
    Column("rpm", BigInteger),
    Column("tpm", BigInteger),
    need("seats", Integer),
    need("wants", Integer),
    need("requests", BigInteger),  # given and not reported as spent
    need("tokens", BigInteger),
    need("asks", BigInteger),  # requests and tokens beyond those
    need("asks_tokens", BigInteger),
    need("needs_tokens", BigInteger),
    need("reported_at", DateTime(timezone=True)),
    moment("fed_at"),  # when requests and tokens were given last
)

endpoint_spending = Table(
    "endpoint_spending",
    metadata,
    ref("endpoint_id", "endpoint_limits.id", primary_key=True),
    Column("second", BigInteger, primary_key=True, autoincrement=False),
    need("requests", BigInteger),
    need("tokens", BigInteger),
)
