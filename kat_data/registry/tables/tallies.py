"""How many of everything a run has come to, kept where it happens."""

from sqlalchemy import BigInteger, Column, Double, Table, Text

from kat_data.registry.tables.columns import metadata, need

tallies = Table(
    "tallies",
    metadata,
    Column("run_id", BigInteger, primary_key=True),
    Column("worker_id", BigInteger, primary_key=True),  # who alone adds to the row; 0: no worker
    Column("kind", Text, primary_key=True),  # item, attempt, verdict, sample, call, recorded_call
    Column("name", Text, primary_key=True),  # a stage, a verifier, a mode or a model
    Column("outcome", Text, primary_key=True),
    need("count", BigInteger, "0"),  # of items the difference that the worker made: only the sum over all is a number
    need("tokens", BigInteger, "0"),
    need("usd", Double, "0"),
    need("seconds", Double, "0"),
    postgresql_with={"fillfactor": "50"},  # a row is written often, and then without its index
)
