"""Backups of the whole registry: one archive of pg_dump's custom format, and back from it into an empty database.

The programs are those of the embedded Postgres, or those in a folder that is given: a server newer than they are, or
one that asks for TLS, which they lack, has to be dumped by its own.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import conninfo

from kat_data.errors import InputError, RegistryError, UserError
from kat_data.registry import embedded

# The archive stands for the tables alone, whoever owns them and however the other server compresses.
_BARE = ("--no-owner", "--no-privileges")
_TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
# pg_restore of Postgres 17 and later sets this whatever it restores into; older servers do not know it.
_ONLY_IN_NEWER = b"SET transaction_timeout = 0;\n"
_HEAD_BYTES = 4096
_CHUNK_BYTES = 1 << 20


def dump(url: str, path: Path, *, binaries: Path | None = None) -> int:
    """Write the whole database to `path`, as it is at one moment, also while runs go on; return the archive's size.

    Raises `UserError` where the file exists, `RegistryError` where pg_dump fails; then nothing is left behind.
    """
    if path.exists():
        raise UserError(f"{path} exists already: give another name")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} is no folder: make it first")
    draft = path.with_name(path.name + ".tmp")
    where, environment = _connection(url)
    command = [_program("pg_dump", binaries), "--format=custom", *_BARE, "--no-toast-compression"]
    try:
        _run([*command, f"--file={draft}", f"--dbname={where}"], environment)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path.stat().st_size


def restore(url: str, path: Path, *, binaries: Path | None = None) -> None:
    """Read an archive into a database without tables, wholly or not at all.

    Raises `InputError` where the file is no such archive, `UserError` where the database has tables.
    """
    with path.open("rb") as file:
        if file.read(5) != b"PGDMP":
            raise InputError(f"{path} is no archive of `kat db dump` (pg_dump --format=custom)")
    with psycopg.connect(url, autocommit=True) as connection:
        if (found := connection.execute(_TABLES).fetchone()) != (0,):
            count = found[0] if found else "some"
            raise UserError(f"the database has {count} tables: restore into an empty one, for instance a new KAT_HOME")
    _replay(url, path, binaries)
    with psycopg.connect(url, autocommit=True) as connection:
        # Files in KAT_HOME that were made from these bands may know queries that the archive does not: they are not
        # looked at under another key.
        if connection.execute("SELECT to_regclass('deduplication') IS NOT NULL").fetchone() == (True,):
            connection.execute("UPDATE deduplication SET key = gen_random_uuid()")
        connection.execute("ANALYZE")


def _replay(url: str, path: Path, binaries: Path | None) -> None:
    """Run the archive's script in one transaction, which only its complete script commits."""
    where, environment = _connection(url)
    read = [_program("pg_restore", binaries), *_BARE, "--file=-", str(path)]
    write = [_program("psql", binaries), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={where}"]
    with tempfile.TemporaryFile() as read_errors, tempfile.TemporaryFile() as write_errors:
        reader = subprocess.Popen(read, stdout=subprocess.PIPE, stderr=read_errors)  # noqa: S603
        writer = subprocess.Popen(  # noqa: S603
            write, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=write_errors, env=environment
        )
        with reader, writer:
            assert reader.stdout is not None
            assert writer.stdin is not None
            try:
                _pass_on(reader.stdout, writer.stdin)
                if reader.wait() == 0:
                    writer.stdin.write(b"COMMIT;\n")
                writer.stdin.close()
            except BrokenPipeError:
                reader.stdout.close()  # psql ended at an error, which it tells
                writer.stdin = None
        if reader.returncode > 0:
            raise InputError(f"{path} is damaged, nothing was restored: {_said(read_errors)}")
        if writer.returncode:
            raise RegistryError(f"nothing was restored: {_said(write_errors)}")


def _pass_on(script: IO[bytes], psql: IO[bytes]) -> None:
    psql.write(b"BEGIN;\n" + script.read(_HEAD_BYTES).replace(_ONLY_IN_NEWER, b""))
    shutil.copyfileobj(script, psql, _CHUNK_BYTES)


def _program(name: str, binaries: Path | None) -> str:
    program = (binaries or embedded.programs()) / name
    if not program.is_file():
        raise UserError(f"{program.parent} holds no {name}: give the folder of Postgres's client programs")
    return str(program)


def _connection(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL without its password, which others could read in the list of processes, and an environment."""
    parts: dict[str, Any] = conninfo.conninfo_to_dict(url)
    password = parts.pop("password", None)
    return conninfo.make_conninfo(**parts), {**os.environ, **({"PGPASSWORD": password} if password else {})}


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=errors, env=environment)  # noqa: S603
        if done.returncode:
            raise RegistryError(f"{Path(command[0]).name} fails: {_said(errors)}")


def _said(errors: IO[bytes]) -> str:
    """Return the first line of a program's complaints that names the error."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    named = [line for line in lines if "error" in line.lower() or "FATAL" in line]
    return (named or lines or ["it says nothing"])[0].strip()
