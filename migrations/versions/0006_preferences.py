"""Mode measurements, intents, scores of rewarders; what each answer took in tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COUNTS = [f"{mode}_{count}" for mode in ("off", "on") for count in ("n", "correct", "undecided", "tokens")]


def upgrade() -> None:
    op.add_column("candidates", sa.Column("tokens", sa.Integer(), nullable=True))
    op.add_column("further", sa.Column("kept", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    _create(
        "intents",
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("call", sa.LargeBinary(), nullable=True),
        key=("run_id", "query_id", "turn"),
    )
    _create(
        "mode_measurements",
        sa.Column("chosen", sa.Text(), nullable=False),
        sa.Column("chosen_by", sa.Text(), nullable=False),
        sa.Column("preferred", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        key=("run_id", "query_id", "turn"),
    )
    _create(
        "scores",
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("candidate", sa.SmallInteger(), nullable=False),
        sa.Column("rewarder", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        key=("run_id", "query_id", "turn", "position"),
    )


def _create(name: str, *columns: "sa.Column[object]", key: tuple[str, ...]) -> None:
    op.create_table(
        name,
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.SmallInteger(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["run_id", "query_id"],
            ["work_items.run_id", "work_items.query_id"],
            name=op.f(f"fk_{name}_run_id_query_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")),
    )


def downgrade() -> None:
    for name in ("scores", "mode_measurements", "intents"):
        op.drop_table(name)
    op.drop_column("further", "kept")
    op.drop_column("candidates", "tokens")
