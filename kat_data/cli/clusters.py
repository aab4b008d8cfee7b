"""`kat queries clusters`: near-duplicates as `kat deduplicate` found them, or what means the same, as a run did."""

from typing import Any

import click

from kat_data.cli.deduplicate import print_clusters
from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import transaction
from kat_data.errors import ConfigError, NotFoundError
from kat_data.registry import duplicates, embeddings, runs

_PROMPT = 70
_COLUMNS = ("cluster", "query", "source", "category", "similarity", "prompt")


@click.command()
@click.option("--semantic", is_flag=True, help="Clusters by embeddings, as the stage `cluster` found them.")
@click.option("--run", "run", type=int, help="With --semantic: of this run, and not of the newest that has clusters.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=0), help="How many clusters.")
@click.option("--members", default=10, show_default=True, type=click.IntRange(min=0), help="Of each, beside the first.")
@json_option
def clusters(semantic: bool, run: int | None, limit: int, members: int, as_json: bool) -> None:
    """Show the largest clusters of near-duplicates: the query that stays, then those that it stands for.

    With --semantic those of a run, whose queries mean nearly the same: the nearest to the centre first.
    """
    if semantic:
        _show_semantic(run, limit, members, as_json=as_json)
    elif run is not None:
        raise ConfigError("near-duplicates are of the whole registry: --run goes with --semantic")
    else:
        _show_near(limit, members, as_json=as_json)


def _show_near(limit: int, members: int, *, as_json: bool) -> None:
    with transaction() as connection:
        found = duplicates.list_clusters(connection, limit, members)
    if as_json:
        print_json(found)
    else:
        print_clusters(found)


def _show_semantic(run: int | None, limit: int, members: int, *, as_json: bool) -> None:
    with transaction() as connection:
        run = runs.get_run(connection, run).id if run is not None else embeddings.newest_clustered(connection)
        if run is None or not embeddings.has_clusters(connection, run):
            raise NotFoundError("no semantic clusters yet: a run of a recipe with the stage `cluster` finds them")
        totals = embeddings.cluster_totals(connection, run)
        found = embeddings.largest_clusters(connection, run, limit, members)
    if as_json:
        print_json({"run": run, **totals, "largest": found})
        return
    print_table(_COLUMNS, [row for cluster in found for row in _rows(cluster)], title=f"semantic clusters of run {run}")
    say(
        f"{totals['queries']:,} queries were clustered; {totals['within']:,} of them stand in {totals['clusters']:,} "
        "clusters of two or more"
    )


def _rows(cluster: dict[str, Any]) -> list[list[Any]]:
    shown = [
        ["", m["query"][:12], m["source"], m["category"], round(m["similarity"], 3), " ".join(m["prompt"].split())]
        for m in cluster["members"]
    ]
    shown[0][0] = f"{cluster['size']:,}"
    left = cluster["size"] - len(shown)
    rows = [[*row[:-1], row[-1][:_PROMPT]] for row in shown]
    if left:
        rows.append(["", f"and {left:,} more", "", "", round(cluster["least"], 3), "(the farthest)"])
    return rows
