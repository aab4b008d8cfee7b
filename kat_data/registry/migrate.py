"""Migrations: what revision a database has, which one this code needs, and the way from one to the other.

The comparison runs at the start of every command, so it reads one row and one folder, and leaves Alembic unimported.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from kat_data.errors import RegistryError

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 0x6B61745F6D6967  # "kat_mig": one migration at a time


def head() -> str:
    """Return the newest revision that this code knows: the digits that the last migration's name begins with."""
    names = sorted(path.name for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))
    return names[-1].partition("_")[0] if names else ""


def current(connection: "psycopg.Connection[Any]") -> str:
    """Return the revision of the database, empty where it was never migrated."""
    if connection.execute("select to_regclass('alembic_version')").fetchone() == (None,):
        return ""
    row = connection.execute("select version_num from alembic_version").fetchone()
    return row[0] if row else ""


def ensure(url: str, *, automatic: bool) -> None:
    """Bring the database to this code's revision if `automatic`, else raise `RegistryError` where it has another."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = current(connection)
    if found == head():
        return
    if found > head():
        raise RegistryError(f"The database has revision {found}, made by a newer KAT Data: update this one ({head()}).")
    if not automatic:
        state = f"has revision {found}, {head()} is needed" if found else "is not set up yet"
        raise RegistryError(f"The database {state}: run `kat db upgrade`.")
    upgrade(url)


def upgrade(url: str, revision: str = "head") -> str:
    """Migrate the database up to `revision`, under a lock; return the revision it has then."""
    return _migrate(url, "upgrade", revision)


def downgrade(url: str, revision: str) -> str:
    """Migrate the database down to `revision` (`base`: to nothing), under a lock; return the revision it has then."""
    return _migrate(url, "downgrade", revision)


def config(connection: Any) -> "Config":
    """Return Alembic's configuration for work on an open SQLAlchemy connection."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def _migrate(url: str, direction: str, revision: str) -> str:
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with psycopg.connect(url, autocommit=True) as guard:
        guard.execute("select pg_advisory_lock(%s)", [_LOCK])
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
        with engine.begin() as connection:
            getattr(command, direction)(config(connection), revision)
        return current(guard)
