"""`kat queries withdraw` and `withdrawals`: take queries out of all that is made from now on."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from kat_data.cli.output import json_option, print_json, print_table, say
from kat_data.cli.registry import open_registry, transaction
from kat_data.domain.withdrawal import WithdrawalKind
from kat_data.errors import InputError
from kat_data.registry import withdrawals as stored
from kat_data.registry.named_queries import find_queries
from kat_data.registry.withdrawals import Why

_TOLD = 10  # unknown ids


@dataclass(frozen=True, slots=True, kw_only=True)
class _Which:
    """What is to be withdrawn: a source, or the queries of these ids."""

    source: str | None
    ids: list[str]
    skip_unknown: bool


@click.command()
@click.option("--source", help="All queries of this source, and what is imported of it later.")
@click.option(
    "--ids", type=click.Path(path_type=Path, dir_okay=False), help="File of hashes of queries or rows, one a line."
)
@click.option("--skip-unknown", is_flag=True, help="Withdraw the others where some of the --ids are not known.")
@click.option("--kind", type=click.Choice([kind.value for kind in WithdrawalKind]), default="other", show_default=True)
@click.option("--undo", type=int, metavar="ID", help="Take this withdrawal back instead.")
@click.option("--reason", required=True, help="Why; kept with your name.")
@click.option("--dry-run", is_flag=True, help="Only tell what it would come to.")
@json_option
def withdraw(
    source: str | None,
    ids: Path | None,
    skip_unknown: bool,
    kind: str,
    undo: int | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Withdraw queries: no run and no snapshot made from now on holds them, and imports do not bring them back.

    What holds some of them already is listed: it is yours to take back. Runs under way drop their items.
    """
    if sum(given is not None for given in (source, ids, undo)) != 1:
        raise InputError("say what to withdraw: one of --source NAME, --ids FILE and --undo ID")
    if not reason.strip():
        raise InputError("--reason is empty: whoever meets the withdrawal later has to know why")
    why = Why(reason=reason, by=getpass.getuser(), kind=WithdrawalKind(kind))
    which = _Which(source=source, ids=_ids(ids) if ids else [], skip_unknown=skip_unknown)
    with open_registry() as registry, registry.engine.connect() as connection, _waiting():
        found = stored.undo(connection, undo, why) if undo is not None else _withdraw(connection, which, why)
        if not dry_run:
            connection.commit()  # others wait for it, and what they make meanwhile of the old rows is in the report
        if undo is None:
            found |= stored.holders(connection, found["id"])
        connection.rollback()
    found["dry_run"] = dry_run
    if as_json:
        print_json(found)
    elif undo is not None:
        _print_undone(found)
    else:
        _print(found)


@click.command()
@click.argument("ident", type=int, required=False)
@json_option
def withdrawals(ident: int | None, as_json: bool) -> None:
    """List withdrawals, or tell of the one with the id IDENT which snapshots and training runs hold some of it now."""
    with transaction() as connection:
        if ident is None:
            rows = stored.list_withdrawals(connection)
        else:
            rows = [stored.find(connection, ident) | stored.holders(connection, ident)]
    if as_json:
        print_json(rows if ident is None else rows[0])
        return
    columns = ("id", "kind", "source", "queries", "reason", "decided_by", "decided_at", "undone_by", "undone_reason")
    print_table([name.replace("_", " ") for name in columns], [[row[name] for name in columns] for row in rows])
    if ident is not None:
        _print_holders(rows[0])


def _ids(file: Path) -> list[str]:
    try:
        lines = file.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as text: {error}") from error
    if ids := [line.strip() for line in lines if line.strip()]:
        return ids
    raise InputError(f"{file} names no query: give hashes of queries or rows, one a line")


def _withdraw(connection: Connection, which: _Which, why: Why) -> dict[str, Any]:
    if which.source is not None:
        return {**asdict(stored.withdraw_source(connection, which.source, why)), "unknown": []}
    named = find_queries(connection, which.ids)
    if named.unknown and not (which.skip_unknown and named.queries):
        first = ", ".join(named.unknown[:_TOLD]) + (", …" if len(named.unknown) > _TOLD else "")
        raise InputError(
            f"{len(named.unknown)} of {len(which.ids)} ids are no query's and no row's here, so nothing was withdrawn: "
            f"{first}; --skip-unknown withdraws the others"
        )
    return {**asdict(stored.withdraw_queries(connection, named.queries, why)), "unknown": named.unknown}


@contextmanager
def _waiting() -> Iterator[None]:
    """Show that work is under way: a large source takes seconds."""
    from rich.console import Console

    with Console(stderr=True).status("withdrawing"):
        yield


def _print(found: dict[str, Any]) -> None:
    would = "would be " if found["dry_run"] else ""
    earlier = f", {found['earlier']:,} of which were so before" if found["earlier"] else ""
    number = "" if found["dry_run"] else f"withdrawal {found['id']}: "
    click.echo(f"{number}{found['queries']:,} queries {would}withdrawn{earlier}")
    if found["unknown"]:
        say(f"{len(found['unknown']):,} ids are not known here, and were passed over")
    for run in found["dropped"]:
        click.echo(f"{run['items']:,} items of run {run['run']} ({run['name']}) {would}dropped")
    _print_holders(found)


def _print_holders(found: dict[str, Any]) -> None:
    if not found["snapshots"]:
        click.echo("no snapshot that is noted here holds any of it")
        return
    rows = [[_label(s), s["rows"], s["hash"][:16], s["path"]] for s in found["snapshots"]]
    print_table(["snapshot", "rows", "content hash", "folder"], rows, title="snapshots that hold some of it")
    if not found["training"]:
        click.echo("no training run that is noted here used them")
        return
    training = [
        [t["hash"][:12], t["trainer"], t["state"], t["rows"] or "", _used(t), t["checkpoint"]]
        for t in found["training"]
    ]
    columns = ["training run", "trainer", "state", "rows", "trained on", "checkpoint"]
    print_table(columns, training, title="training runs that used them")


def _label(snapshot: dict[str, Any]) -> str:
    return f"{snapshot['name']}@{snapshot['version']}"


def _used(training: dict[str, Any]) -> str:
    labels = [given["label"] for given in training["inputs"]]
    return ", ".join([*labels, f"the checkpoint of {training['after'][:12]}"] if training["after"] else labels)


def _print_undone(found: dict[str, Any]) -> None:
    would = "would be " if found["dry_run"] else ""
    click.echo(f"{found['queries']:,} queries {would}back; {found['still_withdrawn']:,} stay withdrawn by others")
    for run in found["taken_up"]:
        click.echo(f"{run['items']:,} items of run {run['run']} {would}ready: `kat runs resume {run['run']}` goes on")
