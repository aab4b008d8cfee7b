"""Ways into the registry, and one clear line where there is none."""

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from kat_data.errors import RegistryError
from kat_data.registry import embedded, migrate
from kat_data.registry.session import Registry, connect
from kat_data.settings import Settings

pytestmark = pytest.mark.integration


def test_the_embedded_database_sets_itself_up(tmp_path: Path) -> None:
    settings = Settings.load({}, tmp_path)
    try:
        with connect(settings) as registry, registry.connection() as connection:
            assert migrate.current(connection) == migrate.head()
    finally:
        embedded.stop(settings.home)


def test_a_server_is_only_looked_at(bare_database: Registry, tmp_path: Path) -> None:
    settings = replace(Settings.load({}, tmp_path), database_url=bare_database.url)
    with pytest.raises(RegistryError, match="kat db upgrade"):
        connect(settings)
    migrate.upgrade(bare_database.url)
    assert connect(settings).url == bare_database.url
    assert not settings.home.exists()


async def test_every_kind_of_connection(registry: Registry) -> None:
    with registry.engine.connect() as connection:
        assert connection.exec_driver_sql("select 1").scalar() == 1
    with registry.connection(autocommit=True) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    async with await registry.async_connection() as connection:
        assert await (await connection.execute("select 1")).fetchone() == (1,)


def test_a_server_that_is_lost_is_the_same_error_everywhere(registry: Registry) -> None:
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    within = " AND datname = current_database()"
    with registry.engine.connect() as connection, registry.connection(autocommit=True) as other:
        connection.exec_driver_sql("SELECT 1")
        other.execute(kill + within)
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            connection.exec_driver_sql("SELECT 1")
        other.execute(kill + within)
    with registry.engine.connect() as connection:  # what the pool still held is tried first
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


async def test_an_absent_server_is_one_clear_line(tmp_path: Path) -> None:
    registry = Registry("postgresql://me:secret@127.0.0.1:1/kat")
    with pytest.raises(RegistryError, match=r"No connection to Postgres at 127\.0\.0\.1:1, database 'kat': ") as caught:
        registry.connection()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(RegistryError, match="No connection"):
        await registry.async_connection()
    with pytest.raises(RegistryError, match="No connection"):
        connect(replace(Settings.load({}, tmp_path), database_url=registry.url))
