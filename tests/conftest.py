"""Shared fixtures: one embedded Postgres for the whole test session, and a database of its own for each test."""

import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from kat_data.logs import OURS
from kat_data.registry import embedded, migrate
from kat_data.registry.session import Registry

_TEMPLATE = "kat_template"
_numbers = count(1)


@pytest.fixture(autouse=True)
def _levels_of_logs() -> Iterator[None]:
    """Let no test that runs a command silence the events of those behind it."""
    before = {name: logging.getLogger(name).level for name in OURS}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def postgres_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a running server that does not wait for the disk."""
    home = tmp_path_factory.mktemp("kat")
    with psycopg.connect(embedded.start(home), autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
    embedded.stop(home)
    yield home
    embedded.stop(home)


@pytest.fixture(scope="session")
def postgres_url(postgres_home: Path) -> str:
    """The server's URL; its template database has the registry's tables."""
    url = embedded.start(postgres_home)
    _create(url, _TEMPLATE, "template0")
    migrate.upgrade(_within(url, _TEMPLATE))
    return url


@pytest.fixture
def registry(postgres_url: str) -> Iterator[Registry]:
    """A migrated, empty registry."""
    yield from _database(postgres_url, _TEMPLATE)


@pytest.fixture
def bare_database(postgres_url: str) -> Iterator[Registry]:
    """A database without any table."""
    yield from _database(postgres_url, "template0")


def _database(url: str, template: str) -> Iterator[Registry]:
    name = f"test_{next(_numbers)}"
    _create(url, name, template)
    with Registry(_within(url, name)) as registry:
        yield registry
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def _create(url: str, name: str, template: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template} strategy file_copy")


def _within(url: str, database: str) -> str:
    return url.replace("/postgres?", f"/{database}?")
