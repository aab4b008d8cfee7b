"""`kat queries`: import files, and say what the registry holds."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry, transaction
from kat_data.errors import InputError
from kat_data.registry import queries as stored
from kat_data.registry.imports import ImportReport, import_queries
from kat_data.registry.session import Registry
from kat_data.sources.fields import parse_mapping
from kat_data.sources.presets import PRESETS, find_preset, fingerprint, read_queries
from kat_data.sources.tool_preset import read_answers

TOTALS = ("rows", "imported", "duplicates", "identical", "conflicts", "bad")


@click.group()
def queries() -> None:
    """Import and list queries."""


@queries.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--preset", required=True, help=f"Shape of the rows: {', '.join(PRESETS)}.")
@click.option("--source", required=True, help="Name under which the queries are kept.")
@click.option("--licence", required=True, help="Licence of the queries, kept as given.")
@click.option(
    "--map", "mapping", multiple=True, metavar="FIELD=PATH", help="Where a field stands, e.g. prompt=data.0.q."
)
@click.option("--answers", type=click.Path(path_type=Path), help="File with BFCL's possible answers, joined by id.")
@click.option("--strict", is_flag=True, help="Exit with 2 where a line is bad; the good ones are kept all the same.")
@json_option
def import_(
    files: tuple[Path, ...],
    preset: str,
    source: str,
    licence: str,
    mapping: tuple[str, ...],
    answers: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Import FILES (JSON, JSON Lines, CSV, Parquet; the content decides) into the registry.

    Again does nothing twice.
    """
    find_preset(preset)
    options = {"mapping": parse_mapping(mapping), "answers": read_answers(answers) if answers else None}
    with open_registry() as registry:
        reports = [(file, import_file(registry, file, preset, source, licence, **options)) for file in files]
    document = _document(reports)
    if as_json:
        print_json(document)
    else:
        _print(document)
    if strict and document["bad"]:
        raise InputError(f"{document['bad']} bad lines; the {document['imported']} good ones are imported")


def import_file(registry: Registry, file: Path, preset: str, source: str, licence: str, **options: Any) -> ImportReport:
    """Import one file with a progress line and return its report."""
    from rich.console import Console

    with Console(stderr=True).status(f"importing {file.name}") as status:
        return import_queries(
            registry,
            read_queries(file, preset=preset, source=source, licence=licence, **options),
            source=source,
            licence=licence,
            file_name=file.name,
            preset=preset,
            fingerprint=fingerprint(file, preset=preset, source=source, **options),
            on_progress=lambda rows: status.update(f"importing {file.name}: {rows:,} rows"),
        )


@queries.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List how many queries each source holds, by category."""
    with transaction() as connection:
        rows = stored.list_queries(connection)
    if as_json:
        print_json(rows)
    else:
        columns = ("source", "licence", "category", "queries", "verifiable")
        print_table(columns, [[row[name] for name in columns] for row in rows])


def _document(reports: list[tuple[Path, ImportReport]]) -> dict[str, Any]:
    files = [{"file": str(file), **asdict(report)} for file, report in reports]
    return {
        **{name: sum(found[name] for found in files) for name in TOTALS},
        "bad_lines": [{"file": found["file"], **line} for found in files for line in found["bad_lines"]],
        "files": [{k: v for k, v in found.items() if k != "bad_lines"} for found in files],
    }


def _print(document: dict[str, Any]) -> None:
    columns = ("file", *TOTALS, "seconds")
    print_table(columns, [[found[name] for name in columns] for found in document["files"]])
    for line in document["bad_lines"]:
        say(f"{line['file']}, line {line['number']}: {line['reason']}")
    if document["bad"] > len(document["bad_lines"]):
        say(f"and {document['bad'] - len(document['bad_lines'])} more bad lines")
    if document["conflicts"]:
        say(f"{document['conflicts']} duplicates give another reference: the first one is kept, the others are noted")
    if all(found["finished_before"] for found in document["files"]):
        say("imported before: nothing was done")
