"""The doctor's look at databases that are sound, and at those that are not."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from kat_data.doctor.database import connections, look_at_database
from kat_data.doctor.finding import Finding, Level
from kat_data.registry import embedded, migrate
from kat_data.registry.session import Registry
from kat_data.settings import Settings

pytestmark = pytest.mark.integration


def look(home: Path, url: str = "") -> dict[str, Finding]:
    settings = Settings.load({"KAT_HOME": str(home), "KAT_DATABASE_URL": url})
    return {finding.check: finding for finding in look_at_database(settings)}


def levels(found: dict[str, Finding]) -> dict[str, str]:
    return {name: str(finding.level) for name, finding in found.items()}


def test_a_sound_database_and_a_server_that_does_not_wait_for_the_disk(registry: Registry, tmp_path: Path) -> None:
    found = look(tmp_path, registry.url)
    assert levels(found) == {
        "database": "ok", "server": "ok", "tables": "ok", "writing": "ok", "connections": "ok",
        "durability": "warn", "clock": "ok", "database disk": found["database disk"].level,
    }  # fmt: skip
    assert found["durability"].remedy == "set fsync and full_page_writes to on"
    assert "GiB free of" in found["database disk"].found
    with registry.connection() as connection:
        assert connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)


def test_a_server_is_not_migrated(bare_database: Registry, tmp_path: Path) -> None:
    found = look(tmp_path, bare_database.url)
    assert (found["tables"].level, found["tables"].remedy) == (Level.FAIL, "run `kat db upgrade`")
    assert found["writing"].level is Level.SKIPPED
    assert found["clock"].level is Level.OK
    with bare_database.connection() as connection:
        assert migrate.current(connection) == ""


def test_an_embedded_one_is_started_and_not_migrated(tmp_path: Path) -> None:
    try:
        found = look(tmp_path)
        assert {str(finding.level) for finding in found.values()} <= {"ok", "skipped", "warn"}
        assert found["durability"].level is Level.OK
        assert "the next command sets them up" in found["tables"].found
        url = embedded.attach(tmp_path)
        assert url
        with psycopg.connect(url) as connection:
            assert migrate.current(connection) == ""
    finally:
        embedded.stop(tmp_path)


def test_tables_of_a_newer_version(registry: Registry, tmp_path: Path) -> None:
    with registry.connection() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    found = look(tmp_path, registry.url)["tables"]
    assert (found.level, found.remedy) == (Level.FAIL, "update KAT Data")


def test_nobody_there(tmp_path: Path) -> None:
    found = look(tmp_path, "postgresql://me:secret@127.0.0.1:1/kat")
    assert found.pop("database").level is Level.FAIL
    assert {finding.level for finding in found.values()} == {Level.SKIPPED}
    assert "secret" not in str(found)


@pytest.fixture
def reader(registry: Registry) -> Iterator[str]:
    """The URL of a user who may only read."""
    with registry.connection(autocommit=True) as connection:
        connection.execute("CREATE ROLE kat_reader LOGIN")
        connection.execute("GRANT pg_read_all_data TO kat_reader")
    yield registry.url.replace("postgres@", "kat_reader@", 1)
    with registry.connection(autocommit=True) as connection:
        connection.execute("DROP ROLE kat_reader")


def test_who_may_only_read_is_told(reader: str, tmp_path: Path) -> None:
    found = look(tmp_path, reader)
    assert found["writing"].level is Level.FAIL
    assert "permission denied for table workers" in found["writing"].found
    assert found["clock"].level is Level.OK  # one failure hides none after it
    assert found["database disk"].level is Level.OK
    assert "cannot be seen from here" in found["database disk"].found


def test_a_database_of_another_encoding(postgres_url: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'")
        try:
            found = look(tmp_path, postgres_url.replace("/postgres?", "/latin?"))["server"]
        finally:
            connection.execute("DROP DATABASE latin WITH (FORCE)")
    assert (found.level, found.remedy) == (Level.FAIL, "create the database with ENCODING 'UTF8'")


@pytest.mark.parametrize("skew", [-60.0, 60.0])
def test_a_clock_that_is_off(registry: Registry, tmp_path: Path, skew: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + skew)
    found = look(tmp_path, registry.url)["clock"]
    assert found.level is Level.WARN
    assert ("behind" if skew > 0 else "ahead") in found.found


def test_few_connections_left(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kat_data.doctor.database.WORKER_CONNECTIONS", 100)
    with psycopg.connect(conninfo.make_conninfo(registry.url), autocommit=True) as connection:
        found = connections(connection, Settings.load({"KAT_HOME": str(tmp_path)}))
    assert (found.level, found.remedy[:16]) == (Level.WARN, "end idle clients")
