"""`kat queries`: import files, and say what the registry holds."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kat_data.cli.calibration import print_comparison
from kat_data.cli.clusters import clusters
from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry, transaction
from kat_data.cli.withdrawals import withdraw, withdrawals
from kat_data.domain.bad_line import BadCode
from kat_data.errors import InputError
from kat_data.pipeline.rescore import compare_revisions
from kat_data.registry import queries as stored
from kat_data.registry.imports import ImportReport, import_queries
from kat_data.registry.pass_rates import list_measurements
from kat_data.registry.session import Registry
from kat_data.sources.fields import parse_mapping
from kat_data.sources.misfit import misfit
from kat_data.sources.presets import PRESETS, find_preset, fingerprint, read_queries
from kat_data.sources.tool_preset import read_answers, read_tools

_WORDS = {True: "yes", False: "no"}
MEASURED = (
    "policy", "revision", "mode", "temperature", "queries", "rollouts", "mean", "never", "always", "undecided",
    "tokens", "measured_at",
)  # fmt: skip
_SENTENCES = {code.value: code.sentence for code in BadCode}
TOTALS = ("rows", "imported", "duplicates", "identical", "conflicts", "bad")


@click.group()
def queries() -> None:
    """Import, list and withdraw queries."""


@queries.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--preset", required=True, help=f"Shape of the rows: {', '.join(PRESETS)}.")
@click.option("--source", required=True, help="Name under which the queries are kept.")
@click.option("--licence", required=True, help="Licence of the queries, kept as given.")
@click.option(
    "--map", "mapping", multiple=True, metavar="FIELD=PATH", help="Where a field stands, e.g. prompt=data.0.q."
)
@click.option("--document", metavar="PATH", help="Where a row names the document of the source that it was made of.")
@click.option("--answers", type=click.Path(path_type=Path), help="File with BFCL's possible answers, joined by id.")
@click.option("--tools", type=click.Path(path_type=Path), help="Tools of queries that bring none: a function a row.")
@click.option("--strict", is_flag=True, help="Exit with 2 where a line is bad; the good ones are kept all the same.")
@json_option
def import_(
    files: tuple[Path, ...],
    preset: str,
    source: str,
    licence: str,
    mapping: tuple[str, ...],
    document: str | None,
    answers: Path | None,
    tools: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Import FILES (JSON, JSON Lines, CSV, Parquet; the content decides) into the registry.

    Again does nothing twice. Exits with 2 where no row of a file fits the preset.
    """
    find_preset(preset)
    _require_words(source=source, licence=licence)
    options: dict[str, Any] = {
        "mapping": parse_mapping(mapping) | ({"document": document} if document else {}),
        "answers": read_answers(answers) if answers else None,
        "tools": read_tools(tools) if tools else (),
    }
    with open_registry() as registry:
        reports = [(file, import_file(registry, file, preset, source, licence, **options)) for file in files]
    totals = _document(reports)
    if as_json:
        print_json(totals)
    else:
        _print(totals)
    if hopeless := [misfit(file, preset, report.bad_lines[0]) for file, report in reports if _is_hopeless(report)]:
        raise InputError("; ".join(hopeless))
    if strict and (bad := totals["bad"]):
        good = totals["imported"] + totals["duplicates"]
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


for command in (clusters, withdraw, withdrawals):
    queries.add_command(command)


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


@queries.command("pass-rates")
@click.option("--policy", help="Only measurements with this policy, by the name that its endpoint knows.")
@click.option("--compare", nargs=2, metavar="OLD NEW", help="Re-score difficulty between two revisions.")
@json_option
def pass_rates(policy: str | None, compare: tuple[str, str] | None, as_json: bool) -> None:
    """List the pass rates measured with each revision of each policy, or compare two revisions."""
    with transaction() as connection:
        if compare:
            comparisons = compare_revisions(connection, *compare, policy)
        else:
            rows = list_measurements(connection, policy)
    if as_json:
        print_json(comparisons if compare else rows)
    elif compare:
        for found in comparisons:
            print_comparison(found)
    else:
        print_table(MEASURED, [[row[name] for name in MEASURED] for row in rows])


def _require_words(**options: str) -> None:
    for name, value in options.items():
        if not value.strip():
            raise InputError(f"--{name} is empty: every query is kept with its source and its licence, so name both")


def _is_hopeless(report: ImportReport) -> bool:
    return 0 < report.rows == report.bad


def _document(reports: list[tuple[Path, ImportReport]]) -> dict[str, Any]:
    files = [{"file": str(file), **asdict(report), "seconds": round(report.seconds, 2)} for file, report in reports]
    return {
        **{name: sum(found[name] for found in files) for name in (*TOTALS, "withdrawn")},
        "bad_codes": dict(sum((Counter(found["bad_codes"]) for found in files), Counter())),
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
    if document["withdrawn"]:
        say(
            f"{document['withdrawn']} of these are withdrawn, and no run takes them: `kat queries withdrawals` says why"
        )
    for found in document["files"]:
        if found["finished_before"]:
            say(f"{found['file']} was imported before: nothing was done now, and the figures are of that import")


def _say_bad_lines(document: dict[str, Any]) -> None:
    """Count all bad lines by code, and name those of files that fit for the rest.

    One line says all of a file of which no row fits.
    """
    for code, count in sorted(document["bad_codes"].items()):
        say(f"{count} × {code}: {_SENTENCES[code]}")
    fitting = [found for found in document["files"] if found["bad"] < found["rows"]]
    names = {found["file"] for found in fitting}
    lines = [line for line in document["bad_lines"] if line["file"] in names]
    for line in lines:
        say(f"{line['file']}, line {line['number']}: {line['reason']}")
    if more := sum(found["bad"] for found in fitting) - len(lines):
        say(f"and {more} more bad lines")
