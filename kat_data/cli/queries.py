"""`kat queries`: import files, and say what the registry holds."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kat_data.cli.deduplicate import print_clusters
from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry, transaction
from kat_data.errors import InputError
from kat_data.registry import duplicates
from kat_data.registry import queries as stored
from kat_data.registry.imports import ImportReport, import_queries
from kat_data.registry.session import Registry
from kat_data.sources.fields import parse_mapping
from kat_data.sources.misfit import misfit
from kat_data.sources.presets import PRESETS, find_preset, fingerprint, read_queries
from kat_data.sources.tool_preset import read_answers

_WORDS = {True: "yes", False: "no"}
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

    Again does nothing twice. Exits with 2 where no row of a file fits the preset.
    """
    find_preset(preset)
    _require_words(source=source, licence=licence)
    options = {"mapping": parse_mapping(mapping), "answers": read_answers(answers) if answers else None}
    with open_registry() as registry:
        reports = [(file, import_file(registry, file, preset, source, licence, **options)) for file in files]
    document = _document(reports)
    if as_json:
        print_json(document)
    else:
        _print(document)
    if hopeless := [misfit(file, preset, report.bad_lines[0]) for file, report in reports if _is_hopeless(report)]:
        raise InputError("; ".join(hopeless))
    if strict and (bad := document["bad"]):
        good = document["imported"] + document["duplicates"]
        raise InputError(f"{bad} bad {'line' if bad == 1 else 'lines'}; the {good} good ones are imported")


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


@queries.command()
@click.option("--limit", default=20, show_default=True, help="How many clusters to list, the largest first.")
@click.option("--members", default=10, show_default=True, help="How many members of each beside its representative.")
@json_option
def clusters(limit: int, members: int, as_json: bool) -> None:
    """List the clusters of near-duplicates that `kat deduplicate` found."""
    with transaction() as connection:
        found = duplicates.list_clusters(connection, limit, members)
    if as_json:
        print_json(found)
    else:
        print_clusters(found)


def _require_words(**options: str) -> None:
    for name, value in options.items():
        if not value.strip():
            raise InputError(f"--{name} is empty: every query is kept with its source and its licence, so name both")


def _is_hopeless(report: ImportReport) -> bool:
    return 0 < report.rows == report.bad


def _document(reports: list[tuple[Path, ImportReport]]) -> dict[str, Any]:
    files = [{"file": str(file), **asdict(report), "seconds": round(report.seconds, 2)} for file, report in reports]
    return {
        **{name: sum(found[name] for found in files) for name in TOTALS},
        "finished_before": all(found["finished_before"] for found in files),
        "bad_lines": [{"file": found["file"], **line} for found in files for line in found["bad_lines"]],
        "files": [{k: v for k, v in found.items() if k != "bad_lines"} for found in files],
    }


def _print(document: dict[str, Any]) -> None:
    rows = [
        [found["file"], *(found[name] for name in TOTALS), _WORDS[found["finished_before"]], f"{found['seconds']:7.2f}"]
        for found in document["files"]
    ]
    print_table(("file", *TOTALS, "imported before", "seconds"), rows)
    _say_bad_lines(document)
    if document["conflicts"]:
        say(f"{document['conflicts']} duplicates give another reference: the first one is kept, the others are noted")
    for found in document["files"]:
        if found["finished_before"]:
            say(f"{found['file']} was imported before: nothing was done now, and the figures are of that import")


def _say_bad_lines(document: dict[str, Any]) -> None:
    """Name the bad lines of files that fit for the rest; one line says all of a file of which no row fits."""
    fitting = [found for found in document["files"] if found["bad"] < found["rows"]]
    names = {found["file"] for found in fitting}
    lines = [line for line in document["bad_lines"] if line["file"] in names]
    for line in lines:
        say(f"{line['file']}, line {line['number']}: {line['reason']}")
    if more := sum(found["bad"] for found in fitting) - len(lines):
        say(f"and {more} more bad lines")
