"""How commands open the registry."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings


def open_registry() -> Registry:
    """Open the registry that the environment names; the embedded one starts where none runs."""
    return connect(Settings.load())


@contextmanager
def transaction() -> Iterator[Connection]:
    """Open the registry for one transaction."""
    with open_registry() as registry, registry.engine.begin() as connection:
        yield connection
