"""The database: reachable, current, writable, with connections left, durable, and on time.

Every step asks on one connection, whose statements have a time limit; a step that fails hides none after it.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

from kat_data.doctor.finding import Finding, fail, ok, skipped, warn
from kat_data.doctor.machine import free_space, gibibytes
from kat_data.errors import RegistryError
from kat_data.registry import migrate
from kat_data.registry.session import Registry, locate
from kat_data.settings import Settings, mask_password

Connection = psycopg.Connection[Any]

OLDEST = 15
"""The oldest major version of Postgres that is not warned of."""

WORKER_CONNECTIONS = 8
"""How many connections a worker process takes at most."""

_SECONDS = 5
_MAX_SKEW = 2.0
_DURABILITY = {
    "fsync": "a power cut can destroy the registry",
    "full_page_writes": "a power cut can destroy the registry",
    "synchronous_commit": "a crash of the server forgets replies that were paid",
}

_CONNECTIONS = """
    SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer,
        count(*)::integer
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_FOLDER = """
    SELECT coalesce(nullif(pg_tablespace_location(dattablespace), ''), current_setting('data_directory'))
    FROM pg_database WHERE datname = current_database()
"""


def look_at_database(settings: Settings) -> Iterator[Finding]:
    """Look at the database of the settings; the embedded one is started, and nothing is migrated or left written."""
    embedded = settings.database_url is None
    try:
        url = locate(settings)
        connection = Registry(conninfo.make_conninfo(url, connect_timeout=_SECONDS)).connection(autocommit=True)
    except RegistryError as error:
        remedy = "see its log" if embedded else "start it, or correct KAT_DATABASE_URL"
        yield fail("database", str(error), remedy)
        yield from (skipped(name, "the database") for name in _STEPS)
        return
    with connection:
        connection.execute(f"SET statement_timeout = '{_SECONDS}s'")
        place = f"the embedded one in {settings.home / 'postgres'}" if embedded else mask_password(url)
        yield ok("database", f"{place} answers")
        for name, look in _STEPS.items():
            try:
                yield look(connection, settings)
            except psycopg.Error as error:
                yield fail(name, _line(error), "let the database's owner see to it")


def server(connection: Connection, _: Settings) -> Finding:
    """Which Postgres it is, and whether it can hold every text."""
    version = str(_one(connection, "SELECT split_part(current_setting('server_version'), ' ', 1)"))
    encoding = str(_one(connection, "SHOW server_encoding"))
    found = f"Postgres {version}, {encoding}"
    if encoding != "UTF8":
        return fail("server", found, "create the database with ENCODING 'UTF8'")
    if connection.info.server_version < OLDEST * 10_000:
        return warn("server", found, f"use Postgres {OLDEST} or later")
    return ok("server", found)


def tables(connection: Connection, settings: Settings) -> Finding:
    """Whether the tables are those of this version."""
    found, needed = migrate.current(connection), migrate.head()
    if found == needed:
        return ok("tables", f"revision {found}, as this version needs")
    if found > needed:
        return fail("tables", f"revision {found} of a newer KAT Data; this one knows {needed}", "update KAT Data")
    state = f"revision {found}, {needed} is needed" if found else "not set up yet"
    if settings.database_url is None:
        return ok("tables", f"{state}: the next command sets them up")
    return fail("tables", state, "run `kat db upgrade`")


def writing(connection: Connection, _: Settings) -> Finding:
    """Whether this user can write, shown by a row that is rolled back."""
    if _one(connection, "SELECT to_regclass('workers')") is None:
        return skipped("writing", "tables")
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO workers (host, pid) VALUES ('kat doctor', 0)")
    return ok("writing", "a row was written and rolled back")


def connections(connection: Connection, _: Settings) -> Finding:
    """Whether more workers can connect."""
    row = connection.execute(_CONNECTIONS).fetchone()
    most, used = row or (0, 0)
    room = max(0, most - used) // WORKER_CONNECTIONS
    found = f"{used} of {most} in use: room for {room} more worker processes of {WORKER_CONNECTIONS} each"
    if room < 2:
        return warn("connections", found, "end idle clients, or raise max_connections of the server")
    return ok("connections", found)


def durability(connection: Connection, _: Settings) -> Finding:
    """Whether what is committed is safe."""
    values = {name: str(_one(connection, f"SHOW {name}")) for name in _DURABILITY}
    found = ", ".join(f"{name} {value}" for name, value in values.items())
    off = [name for name, value in values.items() if value == "off"]  # other values are about standbys
    if off:
        return warn("durability", f"{found}: {_DURABILITY[off[0]]}", f"set {' and '.join(off)} to on")
    return ok("durability", found)


def clock(connection: Connection, _: Settings) -> Finding:
    """How far this machine's clock is from the database's, in whose time leases run."""
    before = time.time()
    theirs = float(str(_one(connection, "SELECT extract(epoch FROM clock_timestamp())")))
    after = time.time()
    skew, precision = theirs - (before + after) / 2, (after - before) / 2
    found = f"the database's is {abs(skew):.3f} s {'ahead' if skew > 0 else 'behind'} (± {precision:.3f} s)"
    if abs(skew) - precision > _MAX_SKEW:
        return warn("clock", found, "synchronise both machines by NTP: leases and logs would disagree")
    return ok("clock", found)


def database_disk(connection: Connection, settings: Settings) -> Finding:
    """How much room the database's disk has left, where it can be seen from here."""
    name = "database disk"
    size = int(str(_one(connection, "SELECT pg_database_size(current_database())")))
    if settings.database_url is None:
        return free_space(name, settings.home / "postgres" / "data", f"the embedded database of {gibibytes(size)}")
    folder = _local_folder(connection)
    if folder is None:
        return ok(name, f"the database has {gibibytes(size)}; how much is free cannot be seen from here")
    return free_space(name, folder, f"a database of {gibibytes(size)}")


_STEPS: dict[str, Callable[[Connection, Settings], Finding]] = {
    "server": server,
    "tables": tables,
    "writing": writing,
    "connections": connections,
    "durability": durability,
    "clock": clock,
    "database disk": database_disk,
}


def _local_folder(connection: Connection) -> Path | None:
    """Return the folder of a server on this machine, where it tells and we may look."""
    host = connection.info.host
    if not (host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")):
        return None
    try:
        folder = Path(str(_one(connection, _FOLDER)))
        return folder if folder.is_dir() else None
    except (psycopg.errors.InsufficientPrivilege, OSError):
        return None


def _one(connection: Connection, sql: str) -> object:
    row = connection.execute(sql).fetchone()
    return row[0] if row else None


def _line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
