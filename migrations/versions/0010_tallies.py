"""Tallies: how many of everything a run has come to."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# What runs have come to before; whatever it was, no worker will add to these rows.
BACKFILL = (
    """
    INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count)
    SELECT run_id, 0, 'item', stage, state, count(*) FROM work_items GROUP BY run_id, stage, state
    """,
    """
    INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count, seconds)
    SELECT run_id, 0, 'attempt', stage, outcome, count(*), sum(seconds) FROM stage_attempts
    GROUP BY run_id, stage, outcome
    """,
    """
    INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count)
    SELECT run_id, 0, 'verdict', verifier, outcome, count(*) FROM verdicts GROUP BY run_id, verifier, outcome
    """,
    """
    INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count)
    SELECT run_id, 0, 'sample', coalesce(mode, 'pair'), 'accepted', count(*) FROM samples
    GROUP BY run_id, coalesce(mode, 'pair')
    """,
    """
    INSERT INTO tallies (run_id, worker_id, kind, name, outcome, count, tokens, usd, seconds)
    SELECT run_id, 0, CASE WHEN recorded THEN 'recorded_call' ELSE 'call' END, model,
        coalesce(finish_reason, 'failed'), count(*), sum(tokens), sum(usd), sum(coalesce(seconds, 0))
    FROM calls WHERE state IN ('done', 'failed')
    GROUP BY run_id, recorded, model, coalesce(finish_reason, 'failed')
    """,
)


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("usd", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("seconds", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "worker_id", "kind", "name", "outcome", name=op.f("pk_tallies")),
        postgresql_with={"fillfactor": "50"},
    )
    for statement in BACKFILL:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("tallies")
