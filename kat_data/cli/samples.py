"""`kat samples`: accepted samples, and the whole lineage of one."""

from typing import Any

import click

from kat_data.cli.output import json_option, print_json, print_table, printable, rounded, say, show, usd
from kat_data.cli.registry import transaction
from kat_data.pipeline.lineage import sample
from kat_data.registry import queries

Row = dict[str, Any]


@click.group()
def samples() -> None:
    """List accepted samples and show their whole lineage."""


@samples.command("list")
@click.option("--run", type=int, help="Only samples of this run.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@json_option
def list_(run: int | None, limit: int, as_json: bool) -> None:
    """List accepted samples, the newest first."""
    with transaction() as connection:
        rows = queries.list_samples(connection, run, limit)
    if as_json:
        print_json(rows)
        return
    columns = ("id", "run", "mode", "category", "difficulty", "source", "question")
    print_table(columns, [[*(row[name] for name in columns[:-1]), _first_words(row["sample"])] for row in rows])
    if len(rows) == limit:
        say(f"the newest {limit}: --limit shows more")


@samples.command("show")
@click.argument("ident")
@json_option
def show_(ident: str, as_json: bool) -> None:
    """Show one sample in tables, with all that led to it; `kat lineage` goes on to snapshots and checkpoints.

    IDENT is its id, the start of its hash, or RUN/QUERY for a dropped item.
    """
    with transaction() as connection:
        lineage = sample(connection, ident)
    if as_json:
        print_json({**rounded(lineage), "calls": [rounded(call) for call in lineage["calls"]]})
    else:
        _print_lineage(lineage)


def _print_lineage(lineage: Row) -> None:
    query, item = lineage["query"], lineage["item"]
    reason = f" ({item['reason']}: {item['detail'] or ''})" if item["reason"] else ""
    facts = [
        ["query", query["hash"]],
        ["from", f"{query['source']}, line {query['line']}, licence {query['licence']}"],
        ["category", query["category"]],
        ["reference", _reference(lineage)],
        ["state", f"{item['state']} at {item['stage']}{reason}"],
        ["sample", lineage["sample"] and lineage["sample"]["hash"].hex()],
        ["cost", f"{usd(lineage['usd'])} in {len(lineage['calls'])} calls"],
        ["snapshots", ", ".join(f"{s['name']}@{s['version']}" for s in lineage["snapshots"])],
        ["decided", lineage["standing_decision"] and lineage["standing_decision"]["act"]],
        ["withdrawn", "; ".join(w["reason"] for w in lineage["withdrawals"] if not w["undone_by"])],
    ]
    print_table(["what", "value"], facts)
    _print_soft_label(lineage)
    _print_pass_rate(lineage)
    _print_tags_and_votes(lineage)
    _print_candidates(lineage)
    call_rows = [
        [call["stage"], call["model"], call["finish_reason"], call["tokens"], usd(call["usd"]), call["key"][:12]]
        for call in lineage["calls"]
    ]
    print_table(["stage", "model", "finish", "tokens", "cost", "ledger key"], call_rows, title="calls")
    _tell_pruned(lineage["calls"])
    for message in lineage["messages"] or []:
        print_message(message)


def _tell_pruned(calls: list[Row]) -> None:
    for what in ("request", "request and reply"):
        if pruned := [call for call in calls if call["pruned"] == what]:
            say(f"{len(pruned)} of these calls: {what} pruned by `kat calls prune`; what they cost and brought stays")


def _reference(lineage: Row) -> str | None:
    soft = next((label["reference"] for label in lineage["soft_labels"]), None)
    return f"{soft} (soft: the labellers' majority)" if soft is not None else lineage["query"]["reference"]


def _print_soft_label(lineage: Row) -> None:
    for label in lineage["soft_labels"]:
        shares = f"{label['confidence']:.2f} of the answers agree, {label['weighted']:.2f} by model"
        rows = [[a["model"], a["rank"], a["answer"] or a["fault"]] for a in lineage["soft_label_answers"]]
        print_table(["labeller", "class", "answer"], rows, title=f"soft label: {shares}")


def _print_pass_rate(lineage: Row) -> None:
    for rate in lineage["pass_rates"]:
        counts = f"{rate['correct']} of {rate['k']} correct, {rate['undecided']} undecided"
        rows = [[r["position"], r["mode"], _outcome(r), r["tokens"]] for r in lineage["rollouts"]]
        title = f"pass rate of {rate['policy']}@{rate['revision']}: {counts}"
        print_table(["nr", "mode", "verdict", "tokens"], rows, title=title)


def _print_tags_and_votes(lineage: Row) -> None:
    tags = [
        [tag["model"], tag["difficulty"], tag["domain"], tag["verifiable"], _labels(tag)] for tag in lineage["tags"]
    ]
    print_table(["model", "difficulty", "domain", "verifiable", "labels"], tags, title="tags")
    votes = [[vote["turn"], vote["model"], vote["mode"], vote["reason"]] for vote in lineage["votes"]]
    print_table(["turn", "model", "mode", "reason"], votes, title="votes")
    choices = [[t["turn"], t["mode"], t["origin"], t["margin"], t["judge_analysis"]] for t in lineage["turns"]]
    print_table(["turn", "mode", "origin", "margin", "judge analysis"], choices, title="modes")
    _print_where(lineage["intents"], ("turn", "mode", "place", "text", "wording"), "intents that the run added")
    measured = ("chosen", "chosen_by", "preferred", "off_correct", "off_n", "off_tokens", "on_correct", "on_n")
    _print_where(lineage["mode_measurements"], ("turn", *measured, "on_tokens"), "modes as measured")


def _labels(tag: Row) -> str:
    return ", ".join(f"{name}: {value}" for name, value in tag["labels"].items())


def _print_candidates(lineage: Row) -> None:
    rows = []
    for candidate in lineage["candidates"]:
        mine = [v for v in lineage["verdicts"] if _place(v) == _place(candidate)]
        verdicts = "; ".join(f"{v['verifier']}: {_outcome(v)}" for v in mine)
        rounds = len(candidate["rounds"]) or ""
        answer = " ".join(candidate["answer"].split())[:90]
        rows.append([*_place(candidate), candidate["model"], candidate["fault"] or verdicts, rounds, answer])
    print_table(["turn", "nr", "model", "verdict", "rounds", "answer"], rows, title="candidates")
    _print_where(lineage["scores"], ("turn", "candidate", "rewarder", "dimension", "value", "reason"), "scores")


def _print_where(rows: list[Row], columns: tuple[str, ...], title: str) -> None:
    """Print what only some recipes ask for, where it is there."""
    if rows:
        print_table(
            [name.replace("_", " ") for name in columns], [[r[name] for name in columns] for r in rows], title=title
        )


def print_message(message: Row) -> None:
    """Print one message of the exact training text."""
    from rich.text import Text

    show(Text(printable(message["role"]), style="bold"))
    show(Text(printable(message["content"])))
    for call in message.get("tool_calls") or []:
        show(Text(printable(f"→ {call['function']['name']}({call['function']['arguments']})")))
    show(Text())


def _outcome(verdict: Row) -> str:
    outcome, status = verdict["outcome"], verdict["status"]
    return str(outcome) if outcome == status else f"{outcome} ({status})"


def _place(row: Row) -> tuple[int, int]:
    return row["turn"], row["position"]


def _first_words(sample: Row) -> str:
    asked = sample["turns"][0]["user"] if "turns" in sample else sample["messages"][-1]["content"]
    return " ".join(asked.split())[:60]
