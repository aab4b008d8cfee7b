"""What a run came to: the funnel with every drop, the composition, the cost; one document or three tables."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from kat_data.cli.mode_report import print_modes
from kat_data.cli.output import print_table, rounded, say, usd
from kat_data.domain.drop import DropReason
from kat_data.domain.mixture import mixture_of
from kat_data.domain.states import ItemState, RunState
from kat_data.pipeline.mixture import Filling, fillings
from kat_data.registry import queries, runs
from kat_data.registry.mode_evidence import mode_evidence

_BATCHES = 20
_SENTENCES = {reason.value: reason.sentence for reason in DropReason}


def report(connection: Connection, run: int) -> dict[str, Any]:
    """Return a run's state, funnel, composition, mode evidence where there is any, models and cost as plain values."""
    row = runs.get_run(connection, run)
    modes = mode_evidence(connection, run)
    batches = queries.batches_of(connection, run)
    funnel = sorted(runs.funnel(connection, run), key=lambda f: (f.state, -f.items, f.stage))
    return {
        "run": row.id,
        "recipe": row.name,
        "state": row.state.value,
        "reason": row.reason,
        "queries": row.queries,
        "left_out": row.left_out,
        "accepted": sum(f.items for f in funnel if f.state == ItemState.ACCEPTED),
        "funnel": [asdict(f) for f in funnel],
        "mixture": [asdict(filling) for filling in _fillings(connection, row)],
        "composition": queries.composition(connection, run),
        **({"modes": modes} if modes else {}),
        **({"batches": batches} if batches else {}),
        "models": [rounded(model) for model in queries.models_of(connection, run)],
        "cost": rounded(asdict(queries.run_cost(connection, run))),
    }


def _fillings(connection: Connection, row: runs.RunRow) -> list[Filling]:
    mixture = mixture_of(row.recipe)
    return fillings(connection, row.id, mixture, row.state, row.reason) if mixture else []


def print_report(found: dict[str, Any]) -> None:
    """Print a report as tables."""
    _print_funnel(found)
    if found["mixture"]:
        columns = ("stratum", "target", "samples", "held", "state")
        print_table(columns, [[f[name] for name in columns] for f in found["mixture"]], title="mixture")
    rows = [[c["category"], c["queries"], c["think_on"], c["think_off"]] for c in found["composition"]]
    total = ["all", *(sum(row[index] for row in rows) for index in (1, 2, 3))]
    print_table(
        ["category", "queries", "think_on", "think_off"],
        [*rows, total],
        title="composition: the queries that came in, and the samples that were accepted in each mode",
    )
    if "modes" in found:
        print_modes(found["modes"])
    if "batches" in found:
        _print_batches(found["batches"])
    _print_cost(found)
    dead = sum(entry["items"] for entry in found["funnel"] if entry["state"] == "dead")
    if dead:
        run = found["run"]
        say(f"{dead} items are dead: `kat runs items {run} --state dead` tells why")
        say(f"`kat runs resume {run} --dead` tries them again")
    if found["state"] == RunState.STOPPED:
        say(f"run {found['run']} is stopped: {found['reason']}; go on with `kat runs resume {found['run']}`")


def _print_funnel(found: dict[str, Any]) -> None:
    rows = [[left["queries"], "left out", "", _why_left_out(left)] for left in found["left_out"]]
    rows.append([found["queries"], "queries", "", ""])
    for entry in found["funnel"]:
        why = _SENTENCES.get(entry["reason"] or "", entry["reason"] or "")
        rows.append([entry["items"], entry["state"], entry["stage"], why])
    adds_up = sum(entry["items"] for entry in found["funnel"]) == found["queries"]
    title = f"funnel of run {found['run']} ({found['recipe']}), {found['state']}"
    print_table(["items", "state", "at stage", "why"], rows, title=title + ("" if adds_up else ": DOES NOT ADD UP"))


def _why_left_out(left: dict[str, Any]) -> str:
    return f"{_SENTENCES[left['reason']]} {left['source']}: {left['licence']}"


def _print_batches(batches: list[dict[str, Any]]) -> None:
    columns = ("id", "endpoint", "model", "state", "rows", "done", "provider_id")
    print_table(columns, [[batch[name] for name in columns] for batch in batches[:_BATCHES]], title="batches")
    if len(batches) > _BATCHES:
        say(f"{len(batches) - _BATCHES} older batches are in --json")


def _print_cost(found: dict[str, Any]) -> None:
    rows = [
        [m["model"], m["calls"], m["prompt_tokens"], m["completion_tokens"], usd(m["usd"])] for m in found["models"]
    ]
    print_table(["model", "calls", "prompt tokens", "completion tokens", "price"], rows, title="calls behind this run")
    cost, accepted = found["cost"], found["accepted"]
    verb = "would have cost" if cost["recorded"] else "cost"
    each = f", {usd(cost['usd_used'] / accepted)} per accepted sample" if accepted else ""
    rows = [[f"{cost['made']} calls that this run paid {verb}", usd(cost["usd"] - cost["usd_lost"])]]
    if cost["usd_lost"]:
        rows += [
            ["charged for tries without a reply", usd(cost["usd_lost"])],
            ["both together, counted on the budget", usd(cost["usd"])],
        ]
    behind = f"all calls behind this run {verb}; {cost['reused']} of them were in the ledger already"
    print_table(["cost", "amount"], [*rows, [behind, usd(cost["usd_used"]) + each]])
