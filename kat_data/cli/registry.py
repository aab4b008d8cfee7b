"""How commands open the registry."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kat_data.cli.output import say
from kat_data.errors import RegistryError
from kat_data.logs import configure
from kat_data.registry import embedded
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings

if TYPE_CHECKING:
    from kat_data.pipeline.recipe import Recipe


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


@contextmanager
def transaction() -> Iterator[Connection]:
    """Open the registry for one transaction."""
    with open_registry() as registry, registry.engine.begin() as connection:
        yield connection


def registry_at_hand() -> bool:
    """Whether the environment names a registry, or an embedded one was made before."""
    settings = Settings.load()
    return settings.database_url is not None or embedded.exists(settings.home)


def say_what_is_missing(recipe: "Recipe") -> None:
    """Say which benchmarks a run of the recipe would miss, where a registry is at hand; none is started for it."""
    from kat_data.pipeline.run import missing_benchmarks

    settings = Settings.load()
    url = settings.database_url or embedded.attach(settings.home)
    if url is None:
        return
    unreachable = RegistryError, psycopg.Error, SQLAlchemyError  # then the run itself will say so
    with suppress(*unreachable), Registry(url) as registry, registry.engine.connect() as connection:
        for sentence in missing_benchmarks(connection, recipe):
            say(f"before a run: {sentence}")
