"""`kat calls`: how long the ledger keeps the bodies of calls."""

import re
from dataclasses import asdict
from datetime import timedelta

import click

from kat_data.cli.output import json_option, print_json, say
from kat_data.cli.registry import open_registry
from kat_data.cli.tracked import counting
from kat_data.registry.retention import Pruned, prune_calls

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def _age(_: click.Context, __: click.Parameter, value: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([hdw])", value.strip())
    if found is None:
        raise click.BadParameter(f"{value!r} is no length of time: write one such as 90d, 12h or 8w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.group()
def calls() -> None:
    """Prune the bodies of old calls."""


@calls.command()
@click.option("--older-than", "age", callback=_age, required=True, metavar="AGE", help="Such as 90d, 12h or 8w.")
@click.option("--run", type=int, help="Only calls that this run paid.")
@click.option("--replies", is_flag=True, help="Also drop replies: their keys can be paid for again.")
@click.option("--dry-run", "dry", is_flag=True, help="Only count.")
@json_option
def prune(age: timedelta, run: int | None, replies: bool, dry: bool, as_json: bool) -> None:
    """Drop the requests of old calls of finished runs; replies, tokens, money and lineage stay.

    No call is ever paid again for that. With --replies the replies go as well, but for those that an unfinished or
    dead item may ask for again.
    """
    with open_registry() as registry, counting("calls") as observe:
        found = prune_calls(registry, age, run=run, replies=replies, dry=dry, observe=observe)
    if as_json:
        print_json({**asdict(found), "dry_run": dry})
    else:
        say(_sentence(found, replies=replies, dry=dry))


def _sentence(found: Pruned, *, replies: bool, dry: bool) -> str:
    what = "requests and replies" if replies else "requests"
    again = f"{found.payable_again:,} keys" if found.payable_again else "no key"
    kept = f"; {found.kept:,} calls are kept for items that have not ended" if found.kept else ""
    if dry:
        return (
            f"{found.calls:,} calls would lose their {what}: {found.bytes:,} bytes; {again} could be paid again{kept}"
        )
    return (
        f"{found.calls:,} calls have lost their {what}: {found.bytes:,} bytes that Postgres uses again once vacuumed; "
        f"{again} can be paid again{kept}"
    )
