"""What the tables are made of: one metadata, and columns of the kinds that recur."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    MetaData,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def identity() -> "Column[Any]":
    """Return the identity key of a row, which never leaves the database."""
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def ref(name: str, target: str, *, primary_key: bool = False, nullable: bool = False) -> "Column[Any]":
    """Return a foreign key; rows go with the one that is part of their own key."""
    key = ForeignKey(target, ondelete="CASCADE" if primary_key else None)
    return Column(name, BigInteger, key, primary_key=primary_key, nullable=nullable)


def need(name: str, kind: "TypeEngine[Any] | type[TypeEngine[Any]]", default: str | None = None) -> "Column[Any]":
    """Return a column that is never null; `default` is SQL."""
    return Column(name, kind, nullable=False, server_default=text(default) if default is not None else None)


def stamp(name: str) -> "Column[Any]":
    """Return the moment at which the row was made."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def moment(name: str) -> "Column[Any]":
    """Return a moment that may not have come yet."""
    return Column(name, DateTime(timezone=True))


def item_columns(*, turn: bool) -> "list[Column[Any]]":
    """Return the key of what is known of a run's item, or of one of its turns."""
    columns: list[Column[Any]] = [
        Column("run_id", BigInteger, primary_key=True),
        Column("query_id", BigInteger, primary_key=True),
    ]
    return [*columns, Column("turn", SmallInteger, primary_key=True)] if turn else columns


def item_key() -> ForeignKeyConstraint:
    """Return the constraint that ties `item_columns` to their item."""
    return ForeignKeyConstraint(
        ["run_id", "query_id"], ["work_items.run_id", "work_items.query_id"], ondelete="CASCADE"
    )
