"""What stages find out: of a query, and of its turns."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from kat_data.registry.tables.columns import item_columns, item_key, metadata, need, stamp

tags = Table(
    "tags",
    metadata,
    *item_columns(turn=False),
    Column("position", SmallInteger, primary_key=True),
    need("model", Text),
    need("difficulty", SmallInteger),
    need("domain", Text),
    need("verifiable", Boolean),
    need("call", LargeBinary),
    need("labels", JSON, "'{}'"),
    item_key(),
)

tag_summaries = Table(
    "tag_summaries",
    metadata,
    *item_columns(turn=False),
    need("difficulty", Double),
    need("spread", SmallInteger),
    need("domain", Text),
    need("verifiable", Boolean),
    need("labels", JSON, "'{}'"),
    item_key(),
)

soft_labels = Table(
    "soft_labels",
    metadata,
    *item_columns(turn=False),
    Column("reference", Text),  # none where the labellers agree too little
    need("verifier", JSON),
    need("confidence", Double),
    need("weighted", Double),
    item_key(),
)

soft_label_answers = Table(
    "soft_label_answers",
    metadata,
    *item_columns(turn=False),
    Column("position", SmallInteger, primary_key=True),
    need("model", Text),
    need("answer", Text),
    Column("rank", SmallInteger),
    need("call", LargeBinary),
    Column("fault", Text),
    item_key(),
)

pass_rates = Table(
    "pass_rates",
    metadata,
    *item_columns(turn=False),
    need("policy", Text),
    need("revision", Text),
    need("mode", Text),  # as asked for: think_on, think_off, auto
    need("prompted", Boolean),
    need("temperature", Double),
    need("top_p", Double),
    need("max_tokens", Integer),
    need("soft", Boolean),  # measured against a soft label
    need("k", SmallInteger),
    need("correct", SmallInteger),
    need("incorrect", SmallInteger),
    need("undecided", SmallInteger),
    need("tokens", BigInteger),
    stamp("measured_at"),
    item_key(),
    Index(None, "query_id"),
)

rollouts = Table(
    "rollouts",
    metadata,
    *item_columns(turn=False),
    Column("position", SmallInteger, primary_key=True),
    Column("mode", Text),
    need("outcome", Text),
    need("status", Text),
    need("tokens", Integer),
    need("call", LargeBinary),
    need("evidence", JSON),
    item_key(),
)

intents = Table(
    "intents",
    metadata,
    *item_columns(turn=True),
    need("mode", Text),
    need("place", Text),
    need("text", Text),
    need("wording", Text),
    Column("call", LargeBinary),
    item_key(),
)

turns = Table(
    "turns",
    metadata,
    *item_columns(turn=True),
    Column("mode", Text),
    Column("origin", Text),
    Column("margin", Double),
    Column("accepted", SmallInteger),
    Column("judge_analysis", Text),
    Column("results", JSON),  # what the accepted answer's tool calls gave
    item_key(),
)

votes = Table(
    "votes",
    metadata,
    *item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    need("model", Text),
    need("mode", Text),
    need("reason", Text),
    need("call", LargeBinary),
    item_key(),
)

mode_measurements = Table(
    "mode_measurements",
    metadata,
    *item_columns(turn=True),
    need("chosen", Text),
    need("chosen_by", Text),
    Column("preferred", Text),
    *(need(f"{mode}_{count}", Integer) for mode in ("off", "on") for count in ("n", "correct", "undecided", "tokens")),
    item_key(),
)

candidates = Table(
    "candidates",
    metadata,
    *item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    need("mode", Text),
    need("model", Text),
    need("thinking", Text),
    need("answer", Text),
    need("tool_calls", JSON),
    need("rounds", JSON),
    need("calls", ARRAY(LargeBinary)),
    Column("fault", Text),
    Column("tokens", Integer),  # none where several models wrote it together
    item_key(),
)

verdicts = Table(
    "verdicts",
    metadata,
    *item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    need("verifier", Text),
    need("outcome", Text),
    need("status", Text),
    Column("reward", Double),
    need("evidence", JSON),
    item_key(),
)

scores = Table(
    "scores",
    metadata,
    *item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    need("candidate", SmallInteger),
    need("rewarder", Text),
    need("dimension", Text),
    need("value", Double),
    need("reason", Text),
    need("call", LargeBinary),
    item_key(),
)

further = Table(  # accepted candidates of the last turn beyond the first
    "further",
    metadata,
    *item_columns(turn=True),
    Column("position", SmallInteger, primary_key=True),
    Column("judge_analysis", Text),
    need("kept", Boolean, "true"),  # false where a stage put another in its place
    item_key(),
)
