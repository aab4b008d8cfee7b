"""Ways into the registry: a SQLAlchemy engine for cold paths, bare psycopg connections for hot ones."""

from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo

from kat_data.errors import RegistryError
from kat_data.registry import embedded, migrate
from kat_data.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import ExceptionContext

STREAMED = {"stream_results": True, "yield_per": 2000}
"""The `execution_options` of a statement whose rows come as they are taken; otherwise all are held at once."""


_CONNECT_SECONDS = 10
"""How long a connection may take to come about, where the URL does not say."""

_GONE = ("08", "53", "57P", "58")
"""Classes of SQLSTATE by which a server says that it cannot go on: connection, resources, shutdown, disk."""


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the database is gone or cannot go on: a deadlock, say, or a cancelled query is none.

    An error without an SQLSTATE did not come from the server, but in its place.
    """
    if isinstance(error, psycopg.OperationalError):
        return is_gone(error.sqlstate)
    return isinstance(error, RegistryError)


def is_gone(sqlstate: str | None) -> bool:
    """Whether an error's SQLSTATE, or that it has none, says that the server is gone or cannot go on."""
    return sqlstate is None or sqlstate.startswith(_GONE)


def connect(settings: Settings) -> "Registry":
    """Open the registry that `settings` name; raises `RegistryError` where it cannot be reached or needs an upgrade.

    The embedded Postgres is started and migrated as needed; a server is only looked at.
    """
    registry = Registry(locate(settings))
    try:
        migrate.ensure(registry.url, automatic=settings.database_url is None)
    except psycopg.OperationalError as error:
        raise registry.unreachable(error) from error
    return registry


def locate(settings: Settings) -> str:
    """Return the URL of the registry's database, starting the embedded Postgres where no server is set."""
    return settings.database_url or embedded.start(settings.home)


@dataclass(frozen=True)
class Registry:
    """One database, by its libpq URL; connections are made when asked for."""

    url: str

    @cached_property
    def engine(self) -> "Engine":
        """The SQLAlchemy engine, with a small pool that drops connections which a restarted server closed.

        A lost server is psycopg's `OperationalError` here as on every other way in: `is_lost` tells it from others.
        """
        from sqlalchemy import create_engine, event

        engine = create_engine(
            "postgresql+psycopg://", creator=self.connection, pool_size=4, max_overflow=12, pool_pre_ping=True
        )
        event.listen(engine, "handle_error", _as_psycopg)
        return engine

    def connection(self, *, autocommit: bool = False) -> "psycopg.Connection[Any]":
        """Return a new synchronous connection, which the caller closes."""
        try:
            return psycopg.connect(self._conninfo, autocommit=autocommit)
        except psycopg.OperationalError as error:
            raise self.unreachable(error) from error

    async def async_connection(self, *, autocommit: bool = False) -> "psycopg.AsyncConnection[Any]":
        """Return a new asynchronous connection, which the caller closes."""
        try:
            return await psycopg.AsyncConnection.connect(self._conninfo, autocommit=autocommit)
        except psycopg.OperationalError as error:
            raise self.unreachable(error) from error

    @cached_property
    def _conninfo(self) -> str:
        told = "connect_timeout" in conninfo.conninfo_to_dict(self.url)
        return self.url if told else conninfo.make_conninfo(self.url, connect_timeout=_CONNECT_SECONDS)

    def close(self) -> None:
        """Close what the engine's pool holds."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def unreachable(self, error: psycopg.OperationalError) -> RegistryError:
        """Return the error that says in one line which database did not let us in, and why."""
        parts = conninfo.conninfo_to_dict(self.url)
        place = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}, database {parts.get('dbname', '')!r}"
        reason = str(error).strip().splitlines()[-1].strip() if str(error).strip() else "no reason given"
        return RegistryError(f"No connection to Postgres at {place}: {reason}")


def _as_psycopg(failure: "ExceptionContext") -> BaseException | None:
    lost = isinstance(failure.original_exception, psycopg.OperationalError) and not failure.is_pre_ping
    return failure.original_exception if lost else None
