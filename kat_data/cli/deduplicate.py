"""`kat deduplicate`: find queries that are alike but for a few words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry
from kat_data.registry import duplicates
from kat_data.registry.asked import user_texts
from kat_data.registry.session import Registry
from kat_data.settings import Settings

_PROMPT = 70
_COLUMNS = ("cluster", "query", "source", "category", "similarity", "of", "prompt")


@click.command()
@click.option("--report", is_flag=True, help="Print the largest clusters with their members.")
@click.option("--clusters", "limit", default=20, show_default=True, help="How many clusters the report shows.")
@click.option("--members", default=10, show_default=True, help="How many members of each beside its representative.")
@json_option
def deduplicate(report: bool, limit: int, members: int, as_json: bool) -> None:
    """Compare every query with all others; what was compared before is not compared again.

    Nothing is removed: of each cluster of near-duplicates one query represents it, and runs with the stage
    `deduplicate` drop the others.
    """
    with open_registry() as registry:
        compared = compare(registry)
        with registry.engine.connect() as connection:
            totals = duplicates.totals(connection)
            found = duplicates.list_clusters(connection, limit, members) if report or as_json else []
    if as_json:
        print_json({"compared": compared, **totals, "largest": found})
        return
    if report:
        print_clusters(found)
    queries, copies, kinds = (totals[name] for name in ("queries", "duplicates", "clusters"))
    where = f"{kinds:,} cluster{'' if kinds == 1 else 's'}"
    say(f"{compared:,} queries compared now; {queries:,} in all, {copies:,} duplicates in {where}")


def compare(registry: Registry) -> int:
    """Compare what was not compared yet, with a progress bar, and return how many queries that were."""
    from kat_data.pipeline.deduplication import compare_queries

    with _bar() as show:
        return compare_queries(registry, home=Settings.load().home, on_progress=show)


def print_clusters(clusters: list[dict[str, Any]]) -> None:
    """Print each cluster's representative with the size, then its members."""
    table: list[list[Any]] = []
    for cluster in clusters:
        kept = cluster["representative"]
        table.append([_title(cluster), *_what(kept), None, "stays", _prompt(kept)])
        table += [["", *_what(row), row["similarity"], row["nearest"][:12], _prompt(row)] for row in cluster["members"]]
        if rest := cluster["size"] - 1 - len(cluster["members"]):
            table.append(["", f"and {rest} more", "", "", None, "", ""])
    print_table(_COLUMNS, table)


def _title(cluster: dict[str, Any]) -> str:
    return f"{cluster['id']} ({cluster['size']})"


def _what(row: dict[str, Any]) -> list[str]:
    return [row["hash"][:12], row["source"], row["category"]]


def _prompt(row: dict[str, Any]) -> str:
    said = " ".join(" ".join(user_texts(row["messages"])).split())
    return said if len(said) <= _PROMPT else said[: _PROMPT - 1] + "…"


@contextmanager
def _bar() -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("comparing queries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
