"""`kat db dump`, `restore` and `size`: the whole registry in a file, and how large it is."""

from dataclasses import asdict
from pathlib import Path

import click

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import transaction
from kat_data.cli.tracked import waiting
from kat_data.registry import backup, migrate
from kat_data.registry.session import connect, locate
from kat_data.settings import Settings

binaries_option = click.option(
    "--binaries",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of another pg_dump, pg_restore and psql: for servers newer than 18, or that ask for TLS.",
)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@binaries_option
@json_option
def dump(file: Path, binaries: Path | None, as_json: bool) -> None:
    """Write the whole registry to FILE, as it is at one moment; runs may go on meanwhile."""
    url = locate(Settings.load())
    with waiting(f"dumping into {file}"):
        written = backup.dump(url, file, binaries=binaries)
    if as_json:
        print_json({"file": str(file), "bytes": written})
    else:
        say(f"{file} holds the registry in {written:,} bytes; `kat db restore` reads it into an empty database")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@binaries_option
@json_option
def restore(file: Path, binaries: Path | None, as_json: bool) -> None:
    """Read FILE, which `kat db dump` wrote, into an empty database: all of it or nothing.

    An embedded database of an older revision is brought up to date; a server by `kat db upgrade`.
    """
    settings = Settings.load()
    url = locate(settings)
    with waiting(f"restoring {file}"):
        backup.restore(url, file, binaries=binaries)
    with connect(settings).connection() as connection:
        revision = migrate.current(connection)
    if as_json:
        print_json({"file": str(file), "revision": revision})
    else:
        say(f"{file} is restored; the database has revision {revision}")


@click.command()
@json_option
def size(as_json: bool) -> None:
    """Print how large each table is; rows are Postgres's estimate."""
    from kat_data.registry.sizes import table_sizes

    with transaction() as connection:
        sizes = table_sizes(connection)
    if as_json:
        print_json([asdict(found) for found in sizes])
        return
    columns = ("table", "rows", "heap", "indexes", "long_values", "total")
    rows = [[getattr(found, name) for name in columns] for found in sizes]
    rows.append(["all", "", *(sum(getattr(found, name) for found in sizes) for name in columns[2:])])
    print_table([name.replace("_", " ") for name in columns], rows, title="bytes")
