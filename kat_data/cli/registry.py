"""How commands open the registry."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from kat_data.logs import configure
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings


@contextmanager
def open_registry() -> Iterator[Registry]:
    """Open the registry that the environment names; the embedded one starts where none runs.

    A connection lost on the way becomes a `RegistryError` of one line.
    """
    settings = Settings.load()
    configure(settings.log, settings.log_level)
    with connect(settings) as registry:
        try:
            yield registry
        except psycopg.OperationalError as error:
            raise registry.unreachable(error) from error
        except OperationalError as error:
            raise registry.unreachable(psycopg.OperationalError(str(error.orig))) from error


@contextmanager
def transaction() -> Iterator[Connection]:
    """Open the registry for one transaction."""
    with open_registry() as registry, registry.engine.begin() as connection:
        yield connection
