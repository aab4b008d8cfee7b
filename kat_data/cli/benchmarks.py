"""`kat benchmarks`: import the benchmarks that training data must not hold, and overrule single hits."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import click

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry, transaction
from kat_data.domain.bad_line import BadLine
from kat_data.domain.contamination import ItemKind
from kat_data.domain.query import Query, VerifierKind
from kat_data.errors import InputError
from kat_data.registry import benchmarks as stored
from kat_data.sources.fields import parse_mapping
from kat_data.sources.misfit import misfit
from kat_data.sources.presets import PRESETS, find_preset, read_queries


@click.group()
def benchmarks() -> None:
    """Import benchmarks and overrule hits; `kat decontaminate` finds what comes from them."""


@benchmarks.command("import")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--preset", required=True, help=f"Shape of the rows: {', '.join(PRESETS)}.")
@click.option("--map", "mapping", multiple=True, metavar="FIELD=PATH", help="Where a field stands, e.g. prompt=data.q.")
@json_option
def import_(name: str, files: tuple[Path, ...], preset: str, mapping: tuple[str, ...], as_json: bool) -> None:
    """Import the questions of FILES as the benchmark NAME, and the reference programs of code tasks.

    Again adds nothing twice.
    """
    find_preset(preset)
    if not name.strip():
        raise InputError("NAME is empty: hits are reported by it")
    bad: list[BadLine] = []
    with open_registry() as registry:
        added = stored.add_items(registry, name, _items(files, preset, parse_mapping(mapping), bad))
    if bad and not added.added + added.duplicates:
        raise InputError(misfit(files[0], preset, bad[0]))
    document = {"added": added.added, "duplicates": added.duplicates, "bad_lines": len(bad)}
    if as_json:
        print_json(document)
    else:
        say(f"{name}: {added.added} items added, {added.duplicates} were there, {len(bad)} bad lines")
        for line in bad[:10]:
            say(f"  line {line.number}: {line.reason}")


def _items(
    files: tuple[Path, ...], preset: str, mapping: dict[str, str], bad: list[BadLine]
) -> Iterator[tuple[int, ItemKind, str]]:
    for file in files:
        for item in read_queries(file, preset=preset, source="benchmark", licence="none", mapping=mapping):
            if isinstance(item, BadLine):
                bad.append(item)
            else:
                yield from _texts(*item)


def _texts(line: int, query: Query) -> Iterator[tuple[int, ItemKind, str]]:
    yield line, ItemKind.PROSE, "\n\n".join(query.user_turns)
    if query.reference and query.verifier and query.verifier.kind is VerifierKind.CODE:
        yield line, ItemKind.CODE, query.reference


@benchmarks.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the benchmarks, how many queries hold one of their items, and how many were not checked yet.

    Of the queries with hits, those under `allowed` were overruled by `kat benchmarks allow`.
    """
    with transaction() as connection:
        rows = stored.list_benchmarks(connection)
    if as_json:
        print_json(rows)
    else:
        columns = ("name", "items", "hits", "allowed", "unchecked", "created_at")
        print_table(columns, [[row[column] for column in columns] for row in rows])


@benchmarks.command()
@click.argument("query")
@click.option("--benchmark", help="Only hits of this benchmark; all of them where it is not given.")
@click.option("--reason", required=True, help="Why the query may be trained on; kept with your name.")
@json_option
def allow(query: str, benchmark: str | None, reason: str, as_json: bool) -> None:
    """Overrule the hits of QUERY, named by its hash or the first digits of it."""
    with transaction() as connection:
        cleared = stored.allow(connection, query, benchmark=benchmark, reason=reason, by=getpass.getuser())
    if as_json:
        print_json({"cleared": cleared})
    else:
        say(f"{cleared} hits overruled")


@benchmarks.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove a benchmark with its items and hits."""
    with transaction() as connection:
        stored.remove(connection, name)
    if as_json:
        print_json({"removed": name})
    else:
        say(f"{name} is removed")


@benchmarks.command()
@click.argument("name", required=False)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many hits at most.")
@click.option("--allowed", is_flag=True, help="Those that were overruled instead, with whose word and why.")
@json_option
def hits(name: str | None, limit: int, allowed: bool, as_json: bool) -> None:
    """List single hits, of all benchmarks or of NAME: the query's hash, which `allow` takes, and the item."""
    with transaction() as connection:
        found = stored.list_hits(connection, name, limit, allowed=allowed)
    if as_json:
        print_json(found)
        return
    columns = ["query", "source", "benchmark", "line", "kind", "item", *(("by", "reason") if allowed else ())]
    short = [h | {"query": h["query"][:12], "item": " ".join(h["item"].split())[:70]} for h in found]
    print_table(columns, [[h[column] for column in columns] for h in short])
    if len(found) == limit:
        say(f"the first {limit}: --limit shows more")
